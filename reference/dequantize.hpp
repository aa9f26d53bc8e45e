// Dequantization of NVFP4, MXFP4 and MXFP8: w = RN(decode(scale) * g), out = RN(decode(code) * w) in
// binary32, then rounded to the output type. The MX formats have no g.
//
// Decisions where implementations in the field differ:
//  - The scale is multiplied by g first, then the element by the product.
//  - Arithmetic flushes subnormals, operands too (ftz.hpp). So the UE8M0 byte 0, which is 2^-127, makes a
//    block zero.
//  - UE8M0 255 is NaN. Every NaN is written as 0x7FFFFFFF or 0x7FFF.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/scale_layout.hpp"

namespace fourge::reference {

enum class BlockFormat { nvfp4, mxfp4, mxfp8 };
enum class FloatType { f32, bf16, f16 };

constexpr std::int64_t block_length(BlockFormat format) {
  return format == BlockFormat::nvfp4 ? 16 : 32;
}

struct DequantizeProblem {
  BlockFormat format = BlockFormat::nvfp4;
  // NVFP4, MXFP4: batches * rows * cols / 2 bytes, element 2i in the low nibble; MXFP8: rows *
  // padded_cols bytes.
  std::span<const std::uint8_t> codes;
  std::span<const std::uint8_t> scales;  // each batch's in the layout, padding included
  std::int64_t batches = 1;
  std::int64_t rows = 0;
  std::int64_t cols = 0;         // positive and a multiple of the block length
  std::int64_t padded_cols = 0;  // the same, not less than cols; equal to it but for MXFP8
  ScaleLayout layout = ScaleLayout::linear;
  // NVFP4: one decode scale, or one a row, the same for each batch. Empty: 1.
  std::span<const float> decode_scales;

  ScaleMatrix scale_matrix() const { return {layout, rows, padded_cols / block_length(format)}; }
};

// batches * rows * cols elements, before the rounding to the output type. Throws std::invalid_argument
// if sizes do not fit together.
std::vector<float> dequantize(const DequantizeProblem& problem);

// As they lie in memory, little endian.
std::vector<std::uint8_t> to_bytes(std::span<const float> values, FloatType type);

}  // namespace fourge::reference
