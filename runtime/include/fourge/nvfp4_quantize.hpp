// NVFP4 quantization: E2M1 codes in blocks of 16 with one E4M3 block scale each and one FP32 global
// scale for the tensor. Source of the arithmetic: docs/numerics.md (as FlashInfer's and
// TransformerEngine's exact mode).
//
//   x             [rows, cols] bf16 or f16, row-major and dense, device memory, 32-byte aligned
//   codes         [rows, cols/2] bytes; element 2i in the low nibble of byte i; 16-byte aligned
//   scales        nvfp4_scale_bytes(...) bytes of E4M3 in the spec's layout; 16-byte aligned.
//                 All of it is written: padding rows and columns are zero.
//   global_scale  the encode scale G (usually 448 * 6 / amax of the tensor): one float in device
//                 memory, read by the kernel in stream order, or, when that pointer is null, the value
//                 given in global_scale_value. G must be positive and finite; a value is checked at
//                 the call, a device-side G cannot be.
//   rows >= 0; cols > 0 and a multiple of 16.
//
// x is approximately e2m1 * scale / G. Calls are asynchronous on the caller's stream; the buffers must
// stay valid until the kernel is done. x must not overlap the outputs.
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
};

// Bytes of the scale buffer for the layout text of a spec ("linear", "128x4", "8x4").
FOURGE_API std::size_t nvfp4_scale_bytes(std::string_view layout, std::int64_t rows,
                                         std::int64_t cols);

// The definition behind the spec text "nvfp4_quantize[...]".
FOURGE_API const OpDefinition& nvfp4_quantize_op();

}  // namespace fourge
