// SwiGLU between the two matrix products of a mixture of experts: E4M3 with a scale for each 1x128
// block in, the same out, on rows that routing has permuted.
//
//   x            [capacity, 2 * cols] E4M3, row-major and dense, 16-byte aligned
//   x_scales     float, decode direction: x is E4M3 * scale. The scale of block s of row r is at
//                s * N + r, where N = *padded_rows; 2 * cols / 128 blocks a row
//   y            [capacity, cols] E4M3, 16-byte aligned
//   y_scales     float, at s * N + r for the cols / 128 blocks of y; decode direction
//   row_map      int32. Axis rows:
//                  map      [tokens * top_k]: the row of each expanded token (of either index
//                           convention); -1, as any negative number, for one without a row here
//                  inverse  [capacity]: for each row below N a number that is not negative if the
//                           row is taken; -1 for padding. Neighbouring rows go together, which
//                           spares memory traffic for the scales
//   padded_rows  int32 in device memory: N, the rows in use, padding of the experts included. At most
//                capacity; with more, nothing is written
//
// With l and g the two halves of a row (axis order: linear_first has [l | g], gate_first [g | l]),
// each E4M3 * scale in binary32:
//   form=plain    o = l * (g / (1 + exp(-g)))
//   form=clamped  g' = min(g, limit), l' = min(max(l, -limit), limit),
//                 o = (g' / (1 + exp(-alpha * g'))) * (l' + beta); limit may be infinite
// In a block of 128 columns, a = max |o| (NaN skipped); scale = max(a / 448, 2^-126) is stored and
// y = E4M3(o / scale), a true division. A block of zeros has scale 2^-126 and zeros. NaN becomes
// NaN (0x7F); in a block with an infinity, infinities do, and the rest becomes zero. Arithmetic: as
// docs/numerics.md, one rounding an operation, subnormals flushed; exp as in exact mode there, or
// approximate instructions with math=fast, which also multiplies by the reciprocal of the scale.
//
// Rows that row_map does not name, and entries at or beyond N, are not touched, neither y nor
// y_scales. No row may be named twice. tokens >= 0, top_k > 0, 0 <= capacity < 2^31; cols > 0, a
// multiple of 128 and at most 2^29. limit (above zero), alpha (finite), beta (finite) count for form=clamped only.
//
// Axis tpc: with 4, a thread looks up four rows at a time and takes one after another with the next one in
// flight. With 1 and 2 it takes one row, with 1 twice as many threads share it, for calls that are small. The bits
// are the same.
// moe::swiglu_tokens_per_cta() chooses.
//
// Calls are asynchronous on the caller's stream; nothing is read back. Outputs must not overlap inputs.
// Streams, threads and errors: <fourge/kernel.hpp>.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge {

struct MoeSwigluFp8BlockArgs {
  static constexpr std::string_view kOp = "moe_swiglu_fp8_block";

  const std::uint8_t* x = nullptr;
  const float* x_scales = nullptr;
  std::uint8_t* y = nullptr;
  float* y_scales = nullptr;
  const std::int32_t* row_map = nullptr;
  const std::int32_t* padded_rows = nullptr;
  std::int64_t tokens = 0;
  std::int64_t top_k = 0;
  std::int64_t cols = 0;
  std::int64_t capacity = 0;
  float limit = 7.0F;
  float alpha = 1.702F;
  float beta = 1.0F;
};

// The definition behind the spec text "moe_swiglu_fp8_block[...]".
FOURGE_API const OpDefinition& moe_swiglu_fp8_block_op();

namespace moe {

// The value of axis tpc, 1, 2 or 4, for a call of moe_swiglu_fp8_block on a device with that many
// multiprocessors (DeviceInfo of the device in use, not of device 0). With C = tokens * top_k for each
// 2048 columns or part of them: 4 if C > 32 * multiprocessors, 2 if C > 10 * multiprocessors, otherwise 1. Sizes are
// as in a legal call; multiprocessors > 0.
FOURGE_API int swiglu_tokens_per_cta(std::int64_t tokens, std::int64_t top_k, std::int64_t cols,
                                     int multiprocessors);

}  // namespace moe
}  // namespace fourge
