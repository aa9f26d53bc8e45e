// NVFP4 quantization with one scale for each row (token), which the kernel computes from the row's
// largest magnitude: codes, block scales and token scales in one pass over device memory. Source of the
// arithmetic: docs/numerics.md.
//
//   x             [rows, cols] bf16 or f16, row-major and dense, device memory, 32-byte aligned
//   codes         [rows, cols/2] bytes; element 2i in the low nibble of byte i; 16-byte aligned
//   scales        nvfp4_scale_bytes(layout, rows, cols) bytes of E4M3 in the spec's layout; 16-byte
//                 aligned
//   token_scales  [rows] floats: x is approximately e2m1 * scale * token_scales[row]
//   row_map       [mapped_rows] int32 in device memory, or null. Null: every row is quantized, and
//                 padding rows and columns of the scales are written as zero. Otherwise entry i names a
//                 row, for reading and for writing; entries that are negative or not below rows are
//                 skipped. Only rows that are named are written: their codes, their token scales and
//                 their block scales, including the padding columns of those rows (zero); all other
//                 rows, padding rows among them, are left as they are.
//   global_scale_inverse
//                 1 / (448 * 6), or 1 / (256 * 6) for 4over6 with 256, rounded to float; between 2^-126
//                 and 2^126
//   rows >= 0; 0 < cols <= 2^34 and a multiple of 16; mapped_rows >= 0, not looked at without row_map.
//
// A row of zeros (bf16 subnormals count as zero) has token scale 0, block scales 0x00 and codes 0 or 8
// (0 with 4over6) in every mode. A token scale that is not a normal float is stored as 0; in fast
// mode, where it would be divided by, block scales are then as those of a row of zeros, but for blocks with such elements.
//
// Axis row says how a row is held between the two looks at it:
//   registers   four blocks a thread: cols <= 65536 (57344 on sm_120 and its like), with tiled scales
//               49152, with 4over6 32768; longer ones are refused
//   registers2  two blocks a thread: cols <= 32768, with 4over6 cols <= 28672
//   registers1  one block a thread, for few or short rows: cols <= 16384
//   cluster     in the registers of up to 8 CTAs of a cluster (sm_90 and later), for long rows:
//               cols <= 131072, with 4over6 65536
//   copied      in shared memory, where the copy engine puts it (sm_90 and later), for many rows:
//               cols <= 32768
//   looped      any length; a row is read a second time, from the caches if it fits; fewer registers
// nvfp4_per_token_row() says which to take.
// Axis 4over6 is as in nvfp4_quantize.hpp; "fast" there is about the error only. All values of axis row
// give the same bits.
//
// Calls are asynchronous on the caller's stream; the buffers must stay valid until the kernel is done.
// Inputs must not overlap the outputs.
// Streams, threads and errors: <fourge/kernel.hpp>.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>
#include <fourge/target.hpp>

#include <cstdint>
#include <string_view>

namespace fourge {

struct Nvfp4QuantizePerTokenArgs {
  static constexpr std::string_view kOp = "nvfp4_quantize_per_token";

  const void* x = nullptr;
  std::uint8_t* codes = nullptr;
  std::uint8_t* scales = nullptr;
  float* token_scales = nullptr;
  const std::int32_t* row_map = nullptr;
  float global_scale_inverse = 1.0F / 2688.0F;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t mapped_rows = 0;
};

// The most columns that a variant takes; 0 for one that takes any number.
FOURGE_API std::int64_t nvfp4_per_token_most_columns(const KernelSpec& spec);

// The value of axis row for such a call on such a device: the fastest of those measured, legal there.
FOURGE_API std::string_view nvfp4_per_token_row(std::int64_t rows, std::int64_t cols,
                                                std::string_view layout, bool four_over_six,
                                                const Target& target, const DeviceFacts& device);

FOURGE_API const OpDefinition& nvfp4_quantize_per_token_op();

}  // namespace fourge
