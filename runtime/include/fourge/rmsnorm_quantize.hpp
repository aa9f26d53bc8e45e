// RMSNorm, with the addition of a residual or without, and quantization of its output to NVFP4, MXFP8 or
// FP8. Source of the quantization's arithmetic: docs/numerics.md.
//
//   x             [rows, cols] bf16 or f16, row-major and dense, 32-byte aligned
//   residual      as x, with residual=add; otherwise not looked at
//   weight        [cols] of x's type, 32-byte aligned
//   q             codes of the norm's output, 16-byte aligned: NVFP4 [rows, cols/2] bytes (element 2i in
//                 the low nibble), MXFP8 and FP8 [rows, cols] bytes of E4M3
//   scales        block scales in the spec's layout, padding written as 0, 16-byte aligned:
//                 rmsnorm_quantize_scale_bytes() of E4M3 (NVFP4, 16 columns each) or UE8M0 (MXFP8, 32);
//                 not looked at with out=fp8
//   token_scales  [rows] floats, with scale=token: what q (NVFP4: times its block scale) is multiplied
//                 by; otherwise not looked at
//   residual_out  [rows, cols] of x's type, 16-byte aligned, with residual=add: h, below, rounded
//   norm_out      null, or [rows, cols] of x's type, 16-byte aligned: y, rounded
//   scale         scale=tensor: one float in device memory, or null for scale_value. NVFP4: the encode
//                 scale G; FP8: the decode scale, between 2^-126 and 2^126; MXFP8 has none
//   scale_value   scale=tensor: as above. NVFP4 with scale=token: 1 / (448 * 6), or 1 / (256 * 6) for
//                 4over6 with 256, rounded to float. Otherwise not looked at
//   eps           positive, finite, normal
//   rows >= 0; cols > 0, a multiple of 16 (MXFP8: 32), at most 2^24.
//
// The norm, binary32, one rounding an operation unless "fma" says otherwise, subnormals flushed:
//   h = x + residual, or x
//   s = sum of h * h in this order. Block j is elements 16 j to 16 j + 15 of the row. There are L lanes,
//       the blocks rounded up to a multiple of 32, at most 512; lane i takes blocks i, i + L, ...: for
//       their elements in ascending order, a = fma(h, h, a) from a = 0. Then b[i], i from 0 to 31, is
//       a[i] + a[i + 32] + a[i + 64] ... from the left, and these 32 add up as a butterfly: for
//       d = 16, 8, 4, 2, 1 each b[i] becomes b[i] + b[i ^ d].
//   n = 1 / sqrt(s * (1 / cols) + eps), each of the five rounded
//   y = (h * n) * weight, or (h * n) * (weight + 1) with weight=plus_one
// So the bits depend on a row and its length alone. Axis order:
//   rounded    h (where something was added) and y are rounded to x's type before they are used: the
//              same as separate operations for addition, norm and quantization
//   unrounded  neither is; residual_out and norm_out have the rounded values all the same. 4over6 is
//              refused
// A NaN is stored as 0x7FFF. FP8: q = E4M3(y * (1 / scale)), saturating, NaN to 0x7F; with scale=token
// the scale is max(a / 448, 1 / (512 * 448)) for the row's largest magnitude a (NaN skipped).
//
// Axis row says where a row stays until its sum is known; same bits:
//   shared     any number of columns
//   copied     at most 32768 columns, order=rounded: a CTA has one row copied to shared memory; sm_90 and later
//   registers1 at most 8192 columns (7168 with 4over6 on other targets than sm_90): a thread for each block of 16
//              elements, which stays in registers; for few rows, and for more of them with a residual
//   64x7, ...  threads of a row times blocks of 16 elements that each holds in registers: just so many
//              columns, here 7168. For out=nvfp4 with scale=tensor, 4over6=off, order=rounded and
//              residual=none. With two blocks a thread (224x2, ...) a CTA takes several rows, and while it
//              works on one the next is copied to shared memory; sm_90 and later
// rmsnorm_quantize_row() says which to take.
//
// Calls are asynchronous on the caller's stream; the buffers must stay valid until the kernel is done.
// Outputs must not overlap inputs or each other.
// Streams, threads and errors: <fourge/kernel.hpp>.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge {

struct RmsnormQuantizeArgs {
  static constexpr std::string_view kOp = "rmsnorm_quantize";

  const void* x = nullptr;
  const void* residual = nullptr;
  const void* weight = nullptr;
  std::uint8_t* q = nullptr;
  std::uint8_t* scales = nullptr;
  float* token_scales = nullptr;
  void* residual_out = nullptr;
  void* norm_out = nullptr;
  const float* scale = nullptr;
  float scale_value = 1.0F;
  float eps = 1e-6F;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

// For the texts of axes out ("nvfp4", "mxfp8", "fp8": 0) and layout.
FOURGE_API std::size_t rmsnorm_quantize_scale_bytes(std::string_view out, std::string_view layout,
                                                    std::int64_t rows, std::int64_t cols);

// The value of axis row for such calls of a variant with otherwise these values, the fastest of those measured.
FOURGE_API std::string_view rmsnorm_quantize_row(const KernelSpec& spec, std::int64_t rows,
                                                 std::int64_t cols, const DeviceFacts& device);

// How many columns a variant is for; 0: any number, up to what rmsnorm_quantize_most_columns() says, where 0 is any. Both
// throw Error(invalid_spec) for another operation's.
FOURGE_API std::int64_t rmsnorm_quantize_columns(const KernelSpec& spec);
FOURGE_API std::int64_t rmsnorm_quantize_most_columns(const KernelSpec& spec);

// The definition behind the spec text "rmsnorm_quantize[...]".
FOURGE_API const OpDefinition& rmsnorm_quantize_op();

}  // namespace fourge
