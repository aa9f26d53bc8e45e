// Routing of tokens to experts: which experts a token goes to, and with what weights.
//
//   logits   [tokens, experts] bf16, f16 or f32 (axis in), row-major and dense, aligned to its elements.
//            A NaN counts as -infinity
//   bias     method=deepseek: null, or [experts] floats that count in the choice and not in the weights
//   ids      int32 [tokens, top_k]: experts, distinct, the best first; of equal ones the lower first
//   weights  float [tokens, top_k]
//   scale    method=deepseek: the weights' factor; finite
//   groups, kept_groups   method=deepseek: expert e is in group e / (experts / groups); only the
//            kept_groups best groups are considered, by the sum of the two largest s + bias in a group
//            (the lower of equal ones)
//   tokens >= 0; 1 <= experts <= 512; 1 <= top_k <= min(32, experts). deepseek: 1 <= kept_groups <=
//   groups <= 32, experts a multiple of groups, at least 2 a group, top_k <= kept_groups * (experts /
//   groups). llama4: top_k = 1.
//
// Axis method, with l the logits, in binary32 (docs/numerics.md) and one rounding an operation (subnormals flushed), exp
// and division as in exact mode (device/exp2.cuh), s = 1 / (1 + exp(-l)):
//   softmax         the largest l; weight exp(l - m) / sum over all experts, m the largest l. The sum:
//                   lane i of 32 adds experts i, i + 32, ... up, then the lanes add as a butterfly (16,
//                   8, 4, 2, 1 apart)
//   renormalize     the largest l; weight exp(l - m) / sum over the chosen, in their order
//   sigmoid         the largest s; weight s
//   sigmoid_renorm  the largest s; weight s / (sum of the chosen's s in their order + 1e-20)
//   llama4          the largest l; weight s
//   deepseek        the largest s + bias in the best groups; weight (s * scale) / (sum + 1e-20)
//   raw             the largest l; weight l (a NaN: -infinity), for weights that are made elsewhere
// (exp(x) = 2^(x * log2 e); with l = -infinity everywhere weights are not numbers.)
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

struct MoeRouteTopkArgs {
  static constexpr std::string_view kOp = "moe_route_topk";

  const void* logits = nullptr;
  const float* bias = nullptr;
  std::int32_t* ids = nullptr;
  float* weights = nullptr;
  float scale = 1.0F;
  std::int64_t tokens = 0;
  std::int64_t experts = 0;
  std::int64_t top_k = 0;
  std::int64_t groups = 1;
  std::int64_t kept_groups = 1;
};

FOURGE_API const OpDefinition& moe_route_topk_op();

}  // namespace fourge
