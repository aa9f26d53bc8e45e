// What a quantization may lose: bounds for x - dequantize(quantize(x)), element by element, made from
// the formats' definitions and not from the code of a quantizer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "reference/dequantize.hpp"
#include "reference/formats.hpp"

namespace fourge::tests {

struct RoundTrip {
  reference::BlockFormat format = reference::BlockFormat::nvfp4;
  bool four_over_six = false;  // NVFP4: the block maximum may be encoded at 4 instead of 6
  reference::ScaleLayout layout = reference::ScaleLayout::linear;
  std::int64_t batches = 1;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t padded_cols = 0;
  std::span<const float> x;              // finite
  std::span<const std::uint8_t> scales;  // as the quantizer wrote them
  std::span<const float> encode_scales;  // NVFP4: G, one or one a row, the same for each batch
  std::span<const float> restored;       // dequantized, in the precision of out
  reference::FloatType out = reference::FloatType::f32;
};

// "" or the first violation. Checked are
//  - for each block, that its scale is the one that its largest magnitude asks for: within half a unit
//    of E4M3 and not beyond its range (NVFP4), or the smallest power of two under which the maximum
//    fits (MX), as far as that is a normal number;
//  - for each element, that it is off by no more than half a step of the element format where it lies,
//    times the scale, and half a unit of the output type.
std::string find_violation(const RoundTrip& trip);

// Normally distributed numbers, scaled by powers of two that differ from tensor to tensor, row to row
// and, in short runs, within a row, so that block scales of all sizes occur. None is zero, infinite or
// subnormal.
std::vector<std::uint16_t> make_scaled_input(reference::ElementType type, std::int64_t rows,
                                             std::int64_t cols, std::uint64_t seed);

}  // namespace fourge::tests
