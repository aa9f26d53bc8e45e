// NVFP4 4over6: each block is encoded twice, once with its maximum at 6 (the ordinary way) and once
// with its maximum at 4 (a block scale 1.5 times as large), and the encoding with the smaller error
// is kept.
//
// Decisions where implementations differ:
//  - A block whose maximum is zero has scale 0x00 and codes 0, also for -0 and NaN.
//  - Errors are summed strictly in the order of elements. 4 wins only if its error is smaller;
//  equal
//    errors, NaN and two infinities pick 6.
//  - Fast mode: a candidate whose scale rounds to zero multiplies by zero, as in nvfp4.hpp.
#pragma once

#include <cstdint>
#include <span>

#include "reference/nvfp4.hpp"

namespace fourge::reference {

enum class ErrorMetric { mae, mse };

// strict: the error of the dequantized value. fast: the error in the scaled domain, before the
// division by the global scale. Not to be confused with MathMode, which is about the candidates.
enum class ErrorMath { strict, fast };

struct FourOverSix {
  ErrorMetric metric = ErrorMetric::mae;
  int e4m3_max = 448;  // or 256: what the caller put into the global scale
  ErrorMath error_math = ErrorMath::strict;
};

struct FourOverSixBlock {
  Nvfp4Block chosen;
  Nvfp4Block other;
  bool chose_4 = false;
  float error_4 = 0;
  float error_6 = 0;
};

// row_maximum: the row's largest magnitude if the row has its own scale, which changes the strict
// error's formula; 0 for a tensor scale.
FourOverSixBlock quantize_4over6_block(std::span<const std::uint16_t, kNvfp4Block> x,
                                       ElementType type, float global_scale, MathMode math,
                                       const FourOverSix& config, float row_maximum) noexcept;

// The same with a given 1 / global_scale, for those who know how a device rounds it.
FourOverSixBlock quantize_4over6_block(std::span<const std::uint16_t, kNvfp4Block> x,
                                       ElementType type, float global_scale,
                                       float inverse_global_scale, MathMode math,
                                       const FourOverSix& config, float row_maximum) noexcept;

// As quantize_nvfp4().
Nvfp4Output quantize_nvfp4_4over6(const Nvfp4Problem& problem, const FourOverSix& config,
                                  unsigned threads = 1);

}  // namespace fourge::reference
