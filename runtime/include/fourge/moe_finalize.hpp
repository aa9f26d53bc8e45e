// The weighted sum of what a token's experts gave, in a fixed order, so that the same input gives the
// same bits.
//
//   x         [capacity, x_cols] bf16 or f16 (axis in), row-major and dense, 16-byte aligned; the first
//             cols columns of a row count
//   out       [tokens, cols] of the same type, 16-byte aligned; all of it is written
//   rows      int32 [tokens * top_k]: the row of each expanded token, anything outside [0, capacity),
//             as -1, for one that is skipped. Axis index, the convention of the routing maps:
//               padded   entry = token * top_k + j
//               compact  entry = j * tokens + token
//   weights   [tokens, top_k] (of both conventions), float or bf16 (axis weights); not looked at with
//             weights=none, which stands for 1
//   bias      bias=on: [experts, cols] of the type of x, 16-byte aligned
//   expert_ids  bias=on: int32 [tokens, top_k]: the row of bias; none is added where it is outside
//             [0, experts)
//   shared    shared=on: [tokens, cols] of the type of x, 16-byte aligned: the shared expert's output
//
//   sum = 0; for j = 0 ... top_k - 1 not skipped: sum = sum + weight * (x + bias); out = sum + shared
//
// in binary32 (docs/numerics.md), one rounding an operation (no fused multiply-add), subnormals flushed, then rounded to
// the type. A token whose entries are all skipped gives +0, or the shared expert's output.
//
// tokens >= 0, top_k > 0, capacity >= 0; cols > 0, x_cols >= cols, both multiples of 8.
// Calls are asynchronous on the caller's stream. No input may overlap out.
// Streams, threads and errors: <fourge/kernel.hpp>.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge {

struct MoeFinalizeArgs {
  static constexpr std::string_view kOp = "moe_finalize";

  const void* x = nullptr;
  void* out = nullptr;
  const std::int32_t* rows = nullptr;
  const void* weights = nullptr;
  const void* bias = nullptr;
  const std::int32_t* expert_ids = nullptr;
  const void* shared = nullptr;
  std::int64_t tokens = 0;
  std::int64_t top_k = 0;
  std::int64_t cols = 0;
  std::int64_t x_cols = 0;
  std::int64_t capacity = 0;
  std::int64_t experts = 0;
};

// The definition behind the spec text "moe_finalize[...]".
FOURGE_API const OpDefinition& moe_finalize_op();

}  // namespace fourge
