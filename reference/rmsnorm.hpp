// RMSNorm of a row with a fixed order of summation; ftz.hpp.
//
// Decisions where implementations in the field differ:
//  - The sum of squares is added up by "lanes" of units of 32 elements, min(256, units rounded up to 32)
//    of them, lane i with units i, i + lanes, ...; then lanes in a butterfly of 32 and groups of 32
//    lanes in another. It depends on the length of the row only.
//  - `rounded`: x + residual and the norm's output are rounded to the 16-bit type before they are used.
//  - A NaN is stored as 0x7FFF.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/formats.hpp"

namespace fourge::reference {

struct Rmsnorm {
  ElementType type = ElementType::bf16;
  bool rounded = true;
  bool weight_plus_one = false;
  float eps = 1e-6F;
};

struct NormedRow {
  std::vector<float> y;               // what is quantized
  std::vector<std::uint16_t> y_16;    // rounded
  std::vector<std::uint16_t> sum_16;  // x + residual, rounded
};

// Without a residual, residual is empty.
NormedRow rmsnorm_row(std::span<const std::uint16_t> x, std::span<const std::uint16_t> residual,
                      std::span<const std::uint16_t> weight, const Rmsnorm& norm);

// The order of summation by itself.
float sum_of_squares(std::span<const float> h);

}  // namespace fourge::reference
