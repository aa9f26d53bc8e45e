// The activation between the two matrix products of a mixture of experts, and quantization of what it
// gives. Source of the quantization's arithmetic: docs/numerics.md, exact mode.
//
//   x             [rows, 2 * cols], or [rows, cols] for act=relu2, silu, gelu and identity; bf16 or f16,
//                 row-major and dense, 32-byte aligned
//   bias          null, or [experts, 2 * cols or cols] (one row without expert_rows) of x's type, 32-byte
//                 aligned, in the order of x; added first
//   q             16-byte aligned. out=same: [rows, cols] of x's type; NVFP4: [rows, cols/2] bytes;
//                 MXFP8 and FP8: [rows, cols] bytes of E4M3
//   scales        NVFP4 and MXFP8: block scales, 16-byte aligned, moe::activation_scale_bytes() of them
//   token_scales  scale=token: [rows] floats, decode direction
//   scale         scale=tensor: one float in device memory, or null for scale_value; scale=expert: one
//                 for each expert. NVFP4: the encode scale G; FP8: the decode scale
//   expert_rows   int64 [experts + 1] in device memory: the first row of each expert, and the end of the
//                 last; ascending from 0. Or null: all rows are one expert's. If the end is above `rows`,
//                 nothing is written
//   scale_value   scale=tensor: as above; NVFP4 with scale=token: 1 / (448 * 6) or 1 / (256 * 6)
//   limit, alpha, beta   act=clamped only, the same for all experts; limit above zero, maybe infinite;
//                 the others finite
//   rows >= 0; cols > 0, a multiple of 16 (MXFP8: 32); experts > 0 where expert_rows is given.
//
// A row has the linear half l and the gate g: axis order, [l | g] or [g | l]. Binary32, one rounding an
// operation, subnormals flushed; g and l with their biases added:
//   swiglu      silu(g) * l                    silu(g) = g / (1 + exp(-g))
//   geglu       gelu(g) * l                    gelu(g) = (0.5 * g) * (1 + erf(g / sqrt 2))
//   geglu_tanh  g / (1 + exp(-2u)) * l         u = sqrt(2 / pi) (g + 0.044715 g^3): the form with tanh
//   clamped     g' / (1 + exp(-alpha g')) * (l' + beta)  g' = min(g, limit), l' = l clamped to +-limit
//   relu2       max(g, 0)^2;  silu;  gelu;  identity    no linear half
// exp and erf are fixed polynomials (device/exp2.cuh, device/gated_activation.cuh): the same bits
// everywhere. Then, with round=rounded, the value is rounded to x's type; it is quantized, with
// scale=token by a scale that comes from the row's largest magnitude (FP8: max(a / 448, 1 / (512 *
// 448))). One launch whatever the length: a row of more than 4096 columns is computed twice.
//
// Where scales lie: in the matrix of scales of all rows, padding written as zero. With expert_rows and a
// tiled layout of tiles of t rows each expert has tiles of its own: those of expert e start at row
// (expert_rows[e] + (t - 1) * e) rounded up to t; their padding is written as zero, that of experts without rows, too
// (with rows = 0 nothing is). Rows from the end of the last expert on are not touched.
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

struct MoeActivationQuantizeArgs {
  static constexpr std::string_view kOp = "moe_activation_quantize";

  const void* x = nullptr;
  const void* bias = nullptr;
  void* q = nullptr;
  std::uint8_t* scales = nullptr;
  float* token_scales = nullptr;
  const float* scale = nullptr;
  const std::int64_t* expert_rows = nullptr;
  float scale_value = 1.0F;
  float limit = 7.0F;
  float alpha = 1.702F;
  float beta = 1.0F;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t experts = 0;
};

FOURGE_API const OpDefinition& moe_activation_quantize_op();

namespace moe {

// For the texts of axes out and layout; experts: 0 without expert_rows.
FOURGE_API std::size_t activation_scale_bytes(std::string_view out, std::string_view layout,
                                              std::int64_t rows, std::int64_t cols,
                                              std::int64_t experts);

}  // namespace moe
}  // namespace fourge
