// Quantizes the rows of tokens and copies them to the rows that routing gave them, one for each expert
// that a token goes to. A token is read once, and quantized once unless each expert has a scale of its
// own. Source of the arithmetic: docs/numerics.md, exact mode.
//
//   x             [tokens, cols] bf16 or f16 (axis in), row-major and dense, 32-byte aligned
//   out           [capacity, ...] 16-byte aligned. Axis format: nvfp4 cols / 2 bytes a row (element 2i
//                 in the low nibble of byte i), mxfp8 and fp8 cols bytes of E4M3
//   scales        nvfp4 and mxfp8: block scales, [moe::expand_scale_rows()] rows of cols / 16 E4M3 or
//                 cols / 32 UE8M0, in the spec's layout; 16-byte aligned
//   token_scales  scale=token: float [capacity], decode direction; of an nvfp4 row for 448 * 6, or for
//                 256 * 6 with a 4over6 that says so, of an fp8 row amax / 448 (1 for zeros)
//   global_scale  scale=tensor: the encode scale G, one float in device memory; scale=expert: one for
//                 each local expert, [experts]
//   rows          int32 [tokens * top_k]: the row of each expanded token; what is outside [0,
//                 capacity), as -1, is skipped. Axis index, the convention of the routing maps:
//                   padded   entry = token * top_k + j  (experts' rows padded to tiles)
//                   compact  entry = j * tokens + token (rows without padding)
//   expert_ids    int32 [tokens, top_k], for scale=expert, and for index=compact with a tiled layout and
//                 staging=off: the expert of each expanded token; local ones are [first_expert,
//                 first_expert + experts), others are skipped
//   expert_rows   int64 [experts + 1], for index=compact with a tiled layout: the first row of each
//                 local expert, and the end of the last
//   row_entries   int32 [capacity]: the expanded token of each row, negative for one that is padding.
//                 staging=off: may be null, only the signs are looked at, and with index=compact and a
//                 tiled layout it must be null. staging=on: needed
//   workspace     staging=on: moe::expand_workspace_bytes() bytes of device memory, 32-byte aligned
//
// Where scales lie: that of row r in row r of the matrix of scales. With index=compact and a tiled
// layout of tiles of t rows (128 or 8) each expert has tiles of its own: those of expert e start at row
// (expert_rows[e] + (t - 1) * e) rounded up to t.
//
// What is zeroed: in every row that is written the scale columns that pad the layout; with row_entries
// the scales of padding rows below capacity; with tiles of the experts' own all of their rows that hold
// no token. Nothing else is touched: not the codes and token scales of padding rows, not rows at or
// beyond capacity. A row may not be named twice.
//
// Axis scale: nvfp4 has tensor, expert and token, mxfp8 none, fp8 token. Axis 4over6 is for nvfp4 (see
// nvfp4_quantize.hpp), axis layout not for fp8, which has no block scales.
//
// Axis staging, for tiled layouts and scales that are the same for all experts (scale=tensor, token and
// none); the same bits:
//   off  each row's scales are stored with its codes, four bytes at a time in tiles that lie far apart
//   on   a token's scales go to the workspace, once; then CTAs that wait for all tokens bring them to the
//        rows, whole lines at a time. Faster from some hundred tokens on, in one launch.
// With staging=on rows get their codes from `rows` and their scales from `row_entries`, which must be each
// other's inverse, as moe_route_maps makes them: entry row_entries[r] has row r. An entry that is negative,
// or at or beyond tokens * top_k, is none, and its row padding.
//
// The workspace begins with counters, which the caller zeroes once (the first 512 bytes; the rest may hold
// anything): every launch leaves them zero, so that later launches and replays of a graph need nothing. It
// belongs to one launch at a time: launches that may run at the same time need one each; launches on one
// stream, of any sizes that it has room for, may share it. A launch that fails half way leaves it undefined.
//
// There is no factor for each channel before quantization, and routing weights stay where they are.
//
// tokens >= 0, top_k > 0, capacity >= 0, experts >= 0; cols > 0 and a multiple of 16, of 32 for mxfp8.
// staging=on takes at most 2^30 columns, 2^31 tokens and rows, and 2^24 experts.
// G must be positive and finite. Calls are asynchronous on the caller's stream; nothing is read back.
// Outputs must not overlap inputs.
// Streams, threads and errors: <fourge/kernel.hpp>.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge {

struct MoeExpandQuantizeArgs {
  static constexpr std::string_view kOp = "moe_expand_quantize";

  const void* x = nullptr;
  std::uint8_t* out = nullptr;
  std::uint8_t* scales = nullptr;
  float* token_scales = nullptr;
  const float* global_scale = nullptr;
  const std::int32_t* rows = nullptr;
  const std::int32_t* expert_ids = nullptr;
  const std::int64_t* expert_rows = nullptr;
  const std::int32_t* row_entries = nullptr;
  std::int64_t tokens = 0;
  std::int64_t top_k = 0;
  std::int64_t cols = 0;
  std::int64_t capacity = 0;
  std::int64_t experts = 0;
  std::int64_t first_expert = 0;
  std::uint8_t* workspace = nullptr;
};

// The definition behind the spec text "moe_expand_quantize[...]".
FOURGE_API const OpDefinition& moe_expand_quantize_op();

namespace moe {

// Rows of the matrix of block scales, padding of the layout included, for the texts of axes layout and
// index. A row has its scale columns rounded up to 4 in a tiled layout. Throws Error(invalid_spec) for
// an unknown text.
FOURGE_API std::int64_t expand_scale_rows(std::string_view layout, std::string_view index,
                                          std::int64_t capacity, std::int64_t experts);

// Bytes of `workspace` for the text of axis format, nvfp4 or mxfp8; a larger one serves as well. About one
// byte for each block of x. Throws Error(invalid_spec) for another text, Error(invalid_argument) for sizes
// that no call has.
FOURGE_API std::size_t expand_workspace_bytes(std::string_view format, std::int64_t tokens,
                                              std::int64_t cols);

}  // namespace moe
}  // namespace fourge
