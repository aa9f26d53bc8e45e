// NVFP4 quantization of activations: SiLU-and-multiply fused with the quantizer, and experts with a row
// mask. Source of the arithmetic: docs/numerics.md.
//
// silu_and_mul: an input row holds two halves of `cols` elements, gate g and linear u (which is first is
// the axis "order"); the element that is quantized is silu(g) * u, rounded to the input's type. In exact
// mode silu is defined by single-rounding operations and has the same bits on every target; in fast
// mode it uses the approximate exponential and division.
//
// Calls are asynchronous on the caller's stream; the buffers must stay valid until the kernel is done.
// x must not overlap the outputs.
// Streams, threads and errors: <fourge/kernel.hpp>.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge {

//   x             [rows, 2 * cols] bf16 or f16, row-major and dense, 32-byte aligned
//   codes         [rows, cols/2] bytes, 16-byte aligned
//   scales        nvfp4_scale_bytes(layout, rows, cols) bytes, 16-byte aligned; padding is written as 0
//   global_scale  as in Nvfp4QuantizeArgs
//   rows >= 0; cols > 0 and a multiple of 16.
struct SiluAndMulNvfp4QuantizeArgs {
  static constexpr std::string_view kOp = "silu_and_mul_nvfp4_quantize";

  const void* x = nullptr;
  std::uint8_t* codes = nullptr;
  std::uint8_t* scales = nullptr;
  const float* global_scale = nullptr;
  float global_scale_value = 1.0F;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

//   x              [experts, rows, cols], or [experts, rows, 2 * cols] with act=silu (gate first); bf16 or
//                  f16, row-major and dense, 32-byte aligned
//   codes          [experts, rows, cols/2] bytes, 16-byte aligned
//   scales         experts * nvfp4_scale_bytes("128x4", rows, cols) bytes, 16-byte aligned
//   global_scales  [experts] floats in device memory, the encode scale of each expert: positive, finite
//   valid_rows     [experts] int32 in device memory: how many rows of each expert count. A value below 0
//                  counts as 0, one above rows as rows.
// Rows from valid_rows on, and all padding of the scales, are left unwritten.
// experts >= 0; rows >= 0; cols > 0 and a multiple of 16.
struct Nvfp4QuantizeGroupedArgs {
  static constexpr std::string_view kOp = "nvfp4_quantize_grouped";

  const void* x = nullptr;
  std::uint8_t* codes = nullptr;
  std::uint8_t* scales = nullptr;
  const float* global_scales = nullptr;
  const std::int32_t* valid_rows = nullptr;
  std::int64_t experts = 0;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

FOURGE_API const OpDefinition& silu_and_mul_nvfp4_quantize_op();
FOURGE_API const OpDefinition& nvfp4_quantize_grouped_op();

}  // namespace fourge
