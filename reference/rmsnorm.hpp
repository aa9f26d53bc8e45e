// RMSNorm of a row with a fixed order of summation; ftz.hpp.
//
// Decisions where implementations in the field differ:
//  - The sum of squares is added up by "lanes" of blocks of 16 elements, min(512, blocks rounded up to 32)
//    of them, lane i with blocks i, i + lanes, ...; then lanes i, i + 32, ... in turn, and these 32 sums
//    in a butterfly. It depends on the length of the row only.
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
