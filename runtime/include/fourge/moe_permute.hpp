// Copies the rows of tokens to the rows that routing gave them, one copy for each expert that a token
// goes to, with their 1x128 scales if there are any.
//
//   x            [tokens, cols], elements of 8 or 16 bits (axis bits), row-major and dense, 16-byte
//                aligned
//   x_scales     scales=block128: float, the scale of block s of token t at s * tokens + t
//   y            [capacity, cols], as x
//   y_scales     scales=block128: float, the scale of block s of row r at s * N + r, N = *padded_rows
//   row_entries  int32 [capacity]: which expanded token lies in a row; -1, as any number outside [0,
//                tokens * top_k), for padding. Axis index, the convention of the routing maps:
//                  padded   entry = token * top_k + j  (experts' rows padded to tiles)
//                  compact  entry = j * tokens + token (rows without padding)
//                Not looked at with by=token and without scales
//   rows         by=token: int32 [tokens * top_k], the row of each entry; -1, as any number outside [0, N), for none. As
//                moe_route_maps gives both: where row_entries names an entry, rows names that row. No row twice
//   padded_rows  int32 in device memory: N, the rows in use. At most capacity; with more, nothing is
//                written
//
// Padding rows of y are not touched; their scales become zero, so that all of the first N * (cols /
// 128) scales are written. Rows from N on are neither looked at nor touched.
//
// Bytes are moved; there is no arithmetic. Block scales of one byte are brought into tiled layouts, with zero padding, by scale_interleave, or
// while they are gathered by moe_expand_quantize.
//
// tokens >= 0, top_k > 0, capacity >= 0; cols > 0, a multiple of 128 with scales, otherwise such that a
// row is a multiple of 16 bytes.
//
// The bytes are the same, whatever these say. Axis tpc: rows that a thread has in flight (by=row). Axis by: with token a
// row of x is read once, not for each of its experts; for targets with bulk copies (sm_90 and later) and rows of at most
// 2^29 bytes. It is the quicker way, but with scales and thousands of tokens about as fast.
//
// Calls are asynchronous on the caller's stream; nothing is read back. x must not overlap y.
// Streams, threads and errors: <fourge/kernel.hpp>.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge {

struct MoePermuteArgs {
  static constexpr std::string_view kOp = "moe_permute";

  const void* x = nullptr;
  const float* x_scales = nullptr;
  void* y = nullptr;
  float* y_scales = nullptr;
  const std::int32_t* row_entries = nullptr;
  const std::int32_t* padded_rows = nullptr;
  std::int64_t tokens = 0;
  std::int64_t top_k = 0;
  std::int64_t cols = 0;
  std::int64_t capacity = 0;
  const std::int32_t* rows = nullptr;
};

// The definition behind the spec text "moe_permute[...]".
FOURGE_API const OpDefinition& moe_permute_op();

}  // namespace fourge
