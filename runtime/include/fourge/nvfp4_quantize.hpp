// NVFP4 quantization: E2M1 codes in blocks of 16 with one E4M3 block scale each and one FP32 global
// scale for the tensor. Source of the arithmetic: docs/numerics.md (as FlashInfer's and
// TransformerEngine's exact mode).
//
//   x             [batches, rows, cols] bf16, f16 or E4M3 (axis in), row-major and dense, device
//                 memory, 32-byte aligned
//   codes         [batches, rows, cols/2] bytes; element 2i in the low nibble of byte i; 16-byte
//                 aligned
//   scales        for each batch nvfp4_scale_bytes(...) bytes of E4M3 in the spec's layout; 16-byte
//                 aligned. All of it is written: padding rows and columns are zero, in every batch.
//   global_scale  the encode scale G (usually 448 * 6 / amax of the tensor) in device memory, read by
//                 the kernel in stream order. Axis scale:
//                   tensor      one float; when the pointer is null, global_scale_value is taken
//                   row         one float a row, [rows], the same for every batch; the pointer must
//                               not be null and global_scale_value is not looked at
//                   tensor_inv, row_inv   the same, but 1/G is given and the kernel takes its
//                               reciprocal (correctly rounded in exact mode, approximate in fast mode)
//                 G must be positive and finite; a value is checked at the call, what lies in device
//                 memory cannot be.
//   rows >= 0, batches >= 0; cols > 0 and a multiple of 16.
//
// x is approximately e2m1 * scale / G. With E4M3 input it is e2m1 * scale / 6: x is first scaled by
// 6/G. E4M3 input has math=fast only and no 4over6.
//
// Axis 4over6: a block is encoded with its maximum at 6 and, with a block scale 1.5 times as large, at
// 4, and the encoding with the smaller error is kept (6, if they are equal). Its values:
//   off
//   mae448 mse448 mae256 mse256                  sum of absolute or squared differences between the
//                                                dequantized values and x, for a G made for 448 * 6 or
//                                                256 * 6 (with a G that is given, as here, 448 and 256
//                                                differ in what the caller put into G, not in the
//                                                kernel's arithmetic)
//   mae448fast mse448fast mae256fast mse256fast  the same with the differences taken between
//                                                e2m1 * scale and x * G
// "fast" here is about the error only; math=fast is about reciprocals. The two are independent.
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

struct Nvfp4QuantizeArgs {
  static constexpr std::string_view kOp = "nvfp4_quantize";

  const void* x = nullptr;
  std::uint8_t* codes = nullptr;
  std::uint8_t* scales = nullptr;
  const float* global_scale = nullptr;
  float global_scale_value = 1.0F;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t batches = 1;
};

// Bytes of one batch's scales for the layout text of a spec ("linear", "128x4", "8x4").
FOURGE_API std::size_t nvfp4_scale_bytes(std::string_view layout, std::int64_t rows,
                                         std::int64_t cols);

// The definition behind the spec text "nvfp4_quantize[...]".
FOURGE_API const OpDefinition& nvfp4_quantize_op();

}  // namespace fourge
