// Inputs for quantization tests: the ones that published tests use, and hostile ones.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/formats.hpp"

namespace fourge::tests {

enum class Pattern {
  random,    // normally distributed, the first row zero if there are more rows
  boundary,  // every row runs from -12 to 12 in pairs 1e-3 below and above the same value
  zeros,     // +0
  maxes,     // the type's largest finite value
  specials,  // NaN of both signs with several payloads, infinities and zeros among normal numbers;
             // blocks of only NaN, only +Inf, only -0, ...
  subnormals,  // subnormals of the type, the smallest binary32 numbers, tiny blocks beside big
               // ones, blocks scaled by powers of two across the whole range of the type
};

std::span<const Pattern> all_patterns() noexcept;
const char* to_string(Pattern pattern) noexcept;

// rows * cols elements, row-major. The same arguments give the same bits; another seed gives others
// where the pattern draws numbers. cols is a multiple of 16.
std::vector<std::uint16_t> make_input(Pattern pattern, reference::ElementType type,
                                      std::int64_t rows, std::int64_t cols, std::uint64_t seed);

// The usual encode scale G of a tensor: 448 * 6 / (largest magnitude, NaN skipped), at most the
// largest float (so for a tensor of zeros), and 1 for a tensor with an infinity. Always positive
// and finite.
float te_global_scale(std::span<const std::uint16_t> x, reference::ElementType type);

}  // namespace fourge::tests
