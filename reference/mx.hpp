// MXFP4 and MXFP8 quantization: blocks of 32 elements along a row, a UE8M0 scale each.
//
// Decisions where implementations in the field differ:
//  - Arithmetic flushes subnormals (ftz.hpp): a block whose unrounded scale is subnormal is a zero
//    block, scale byte 0 and all codes zero.
//  - The block maximum starts at 0 and skips NaN. A block of NaN has scale byte 0.
//  - NaN becomes +6 (MXFP4) or +448 (MXFP8). A block with an infinity has scale byte 254 and is
//    multiplied by zero, so that infinities of both signs become NaN and then +6 or +448.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/formats.hpp"
#include "reference/scale_layout.hpp"

namespace fourge::reference {

inline constexpr std::int64_t kMxBlock = 32;

enum class MxFormat { mxfp4, mxfp8 };

struct MxBlock {
  std::uint8_t scale = 0;           // UE8M0
  float multiplier = 0;             // what each element was multiplied by before encoding
  std::vector<std::uint8_t> codes;  // 32 codes, one a byte: E2M1 or E4M3
};

MxBlock quantize_mx_block(MxFormat format, std::span<const std::uint16_t, kMxBlock> x,
                          ElementType type);

struct MxProblem {
  MxFormat format = MxFormat::mxfp4;
  std::span<const std::uint16_t> x;  // rows * cols elements, row-major
  ElementType type = ElementType::bf16;
  std::int64_t rows = 0;
  std::int64_t cols = 0;         // positive and a multiple of 32
  std::int64_t padded_cols = 0;  // the same, and not less than cols; equal to it for MXFP4
  ScaleLayout layout = ScaleLayout::linear;

  ScaleMatrix scale_matrix() const { return {layout, rows, padded_cols / kMxBlock}; }
};

struct MxOutput {
  // MXFP4: rows * cols / 2 bytes, element 2i in the low nibble. MXFP8: rows * padded_cols bytes.
  std::vector<std::uint8_t> data;
  std::vector<std::uint8_t> scales;  // in the problem's layout, padding zero
};

// Rows are shared out over the threads; the result does not depend on their number. Throws
// std::invalid_argument if the shape is not as above or x has another size.
MxOutput quantize_mx(const MxProblem& problem, unsigned threads = 1);

}  // namespace fourge::reference
