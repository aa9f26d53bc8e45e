// MXFP4 and MXFP8 quantization: blocks of 32 elements along a row with one UE8M0 scale each, a power
// of two 2^(byte - 127). Source of the arithmetic: docs/numerics.md. There is no global scale, and
// nothing is approximate: the same bits on every target.
//
//   x            [rows, cols] bf16 or f16, row-major and dense, device memory, 32-byte aligned
//   codes        MXFP4: [rows, cols/2] bytes of E2M1; element 2i in the low nibble of byte i;
//                16-byte aligned
//   data         MXFP8: [rows, padded_cols] bytes of E4M3, 16-byte aligned; columns from cols on are
//                0x00
//   scales       mx_scale_bytes(...) bytes of UE8M0 in the spec's layout, 16-byte aligned. All of it
//                is written: padding is 0x00, and so are the scales of MXFP8's padding columns.
//   rows >= 0; cols > 0 and a multiple of 32; padded_cols a multiple of 32, not less than cols; at most 2^34.
//
// A scale is the smallest power of two for which the block's largest magnitude fits (6 for MXFP4, 448
// for MXFP8). x is approximately code * scale. The scale byte 0 goes with codes that are all zero.
// Infinities and NaN are no input to rely on, but what they give is defined: NaN has no part in the
// block maximum and becomes +6 or +448; an infinity makes the scale byte 254, itself +6 or +448 of
// either sign, and the finite elements beside it zero.
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

struct Mxfp4QuantizeArgs {
  static constexpr std::string_view kOp = "mxfp4_quantize";

  const void* x = nullptr;
  std::uint8_t* codes = nullptr;
  std::uint8_t* scales = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

struct Mxfp8QuantizeArgs {
  static constexpr std::string_view kOp = "mxfp8_quantize";

  const void* x = nullptr;
  std::uint8_t* data = nullptr;
  std::uint8_t* scales = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t padded_cols = 0;
};

// Bytes of the scale buffer for the layout text of a spec ("linear", "128x4", "8x4"). cols: MXFP8's
// padded_cols.
FOURGE_API std::size_t mx_scale_bytes(std::string_view layout, std::int64_t rows,
                                      std::int64_t cols);

// The definitions behind the spec texts "mxfp4_quantize[...]" and "mxfp8_quantize[...]".
FOURGE_API const OpDefinition& mxfp4_quantize_op();
FOURGE_API const OpDefinition& mxfp8_quantize_op();

}  // namespace fourge
