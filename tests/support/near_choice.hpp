// Input for 4over6 whose two encodings are about equally good in many blocks, so that the last bit of
// the errors, their order of summation and the rule for equal errors decide.
#pragma once

#include <cstdint>
#include <vector>

#include "reference/formats.hpp"

namespace fourge::tests {

// rows * cols elements: blocks of multiples of 1/4 with maximum 6 or 4, constant blocks, and blocks
// of multiples of 1/2 with maximum 4, all times a power of two.
std::vector<std::uint16_t> near_choice_input(reference::ElementType type, std::int64_t rows,
                                             std::int64_t cols, std::uint64_t seed);

// Encode scales for the rows: round ones, for which equal errors are exact, and others close to
// them, for which rounding decides. The first is 256.
std::vector<float> near_choice_scales(std::int64_t rows);

}  // namespace fourge::tests
