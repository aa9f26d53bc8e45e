// Largest magnitudes, of each row and of a whole tensor, and the encode scale that follows from the
// latter. NaN is skipped; of nothing but NaN (or of nothing) the largest magnitude is 0. The arithmetic is
// that of docs/numerics.md.
//
//   row_amax      amax[r] = max over j of |RN(x[r, j] * scale)|. The product flushes subnormals, as all
//                 arithmetic does. With scale = 1 / (448 * 6) the maxima of rows that are not zero are
//                 what nvfp4_quantize takes with scale=row_inv and nvfp4_dequantize with scale=row.
//     x           [rows, cols] bf16, f16 or f32 (axis in), row-major and dense, 32-byte aligned
//     amax        [rows] floats
//     row_map     null: all rows. Otherwise [mapped_rows] row numbers: those rows are read and their
//                 maxima written, at the same number; entries that are negative (or not below rows)
//                 are skipped. Rows that are not named are neither read nor written. A row may be
//                 named more than once.
//     scale       finite and not negative
//     rows >= 0, mapped_rows >= 0 (looked at only with a row_map); cols > 0 and a multiple of 16
//
//   global_scale  amax = the tensor's largest magnitude, exactly (a subnormal is kept), and from it the
//                 encode scale G = min(RN(R * 6 / amax), FLT_MAX), R = 448 or 256 (axis range); a
//                 subnormal amax counts as 0. So amax = 0 gives FLT_MAX, and amax = Inf, for which the
//                 quotient is 0, gives G = 1. Both stay on the device: hand the address of G to
//                 nvfp4_quantize as global_scale and to nvfp4_dequantize with scale=tensor_inv.
//     x           `elements` values, a multiple of 16 (0 is legal: amax 0), 32-byte aligned
//     amax, global_scale   one float each
//     workspace   global_scale_workspace_bytes() bytes, 4-byte aligned, zeroed by the caller once, when
//                 it is allocated: every call leaves it zeroed again. Calls that share a workspace must
//                 not run at the same time; calls on one stream do not.
//
// The results do not depend on the order in which parts are done. Calls are asynchronous on the caller's
// stream; the buffers must stay valid until the kernel is done. Outputs must not overlap x.
// Streams, threads and errors: <fourge/kernel.hpp>.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge {

struct RowAmaxArgs {
  static constexpr std::string_view kOp = "row_amax";

  const void* x = nullptr;
  float* amax = nullptr;
  const std::int32_t* row_map = nullptr;
  float scale = 1.0F;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t mapped_rows = 0;
};

struct GlobalScaleArgs {
  static constexpr std::string_view kOp = "global_scale";

  const void* x = nullptr;
  float* amax = nullptr;
  float* global_scale = nullptr;
  std::uint32_t* workspace = nullptr;
  std::int64_t elements = 0;
};

FOURGE_API std::size_t global_scale_workspace_bytes() noexcept;

// The definitions behind the spec texts "row_amax[...]" and "global_scale[...]".
FOURGE_API const OpDefinition& row_amax_op();
FOURGE_API const OpDefinition& global_scale_op();

}  // namespace fourge
