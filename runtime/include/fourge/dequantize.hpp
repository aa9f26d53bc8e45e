// Dequantization of NVFP4, MXFP4 and MXFP8 to f32, bf16 or f16 (axis out).
//
//   w   = RN(decode(scale) * g)      one for each block; the MX formats have no g: w = decode(scale)
//   out = RN(decode(code) * w)       in binary32, and then rounded to nearest even to the output type
//
// The arithmetic and the formats are those of docs/numerics.md. Both products flush subnormals, operands as well as results, as all arithmetic does. So a block of an
// MX format with the scale byte 0, whose 2^-127 is subnormal, gives zeros (the quantizers have it only
// with codes that are zero), and so does an NVFP4 block whose w is below 2^-126. Zeros keep the code's
// sign. Products too large become infinities, in the output type too.
// NaN: a UE8M0 scale byte of 255 or an E4M3 scale byte 0x7F or 0xFF makes the block NaN, zeros
// included; so does the E4M3 data byte 0x7F or 0xFF of MXFP8 its element. A NaN is written as
// 0x7FFFFFFF or 0x7FFF.
//
//   codes         NVFP4, MXFP4: [batches, rows, cols/2] bytes of E2M1, element 2i in the low nibble of
//                 byte i; 16-byte aligned
//   data          MXFP8: [rows, padded_cols] bytes of E4M3, of which the first cols columns are read;
//                 16-byte aligned
//   scales        what the quantizer wrote: nvfp4_scale_bytes(...) a batch or mx_scale_bytes(...) bytes
//                 in the spec's layout, 16-byte aligned; padding is not looked at
//   out           [batches, rows, cols], row-major and dense, 32-byte aligned
//   global_scale  NVFP4 only: the decode scale g in device memory, read in stream order. Axis scale:
//                   tensor      one float; when the pointer is null, global_scale_value is taken
//                   row         one float a row, [rows], the same for every batch (such as the token
//                               scales of per-token quantization); the pointer must not be null
//                   tensor_inv, row_inv   the same, but the encode scale G is given, as nvfp4_quantize
//                               takes it with scale=tensor or row; g is its correctly rounded reciprocal
//                 A g must be finite and not negative, a G positive and finite; a value is checked at the
//                 call, what lies in device memory cannot be.
//   rows >= 0, batches >= 0; cols > 0 and a multiple of 16 (NVFP4) or 32 (MX); padded_cols a multiple of
//   32, not less than cols.
//
// Axis tpc is about speed only. Calls are asynchronous on the caller's stream; the buffers must stay
// valid until the kernel is done. out must not overlap the inputs.
// Streams, threads and errors: <fourge/kernel.hpp>.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>

#include <cstdint>
#include <string_view>

namespace fourge {

struct Nvfp4DequantizeArgs {
  static constexpr std::string_view kOp = "nvfp4_dequantize";

  const std::uint8_t* codes = nullptr;
  const std::uint8_t* scales = nullptr;
  void* out = nullptr;
  const float* global_scale = nullptr;
  float global_scale_value = 1.0F;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t batches = 1;
};

struct Mxfp4DequantizeArgs {
  static constexpr std::string_view kOp = "mxfp4_dequantize";

  const std::uint8_t* codes = nullptr;
  const std::uint8_t* scales = nullptr;
  void* out = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

struct Mxfp8DequantizeArgs {
  static constexpr std::string_view kOp = "mxfp8_dequantize";

  const std::uint8_t* data = nullptr;
  const std::uint8_t* scales = nullptr;
  void* out = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t padded_cols = 0;
};

// The definitions behind the spec texts "nvfp4_dequantize[...]", "mxfp4_dequantize[...]" and
// "mxfp8_dequantize[...]".
FOURGE_API const OpDefinition& nvfp4_dequantize_op();
FOURGE_API const OpDefinition& mxfp4_dequantize_op();
FOURGE_API const OpDefinition& mxfp8_dequantize_op();

}  // namespace fourge
