// SwiGLU on permuted rows of block-FP8 (E4M3 with a binary32 decode scale for 128 columns), to the
// same format; operations flush subnormals (ftz.hpp), one rounding each, exp as in silu.hpp.
//
// plain: o = l * silu(g). clamped: g' = min(g, limit), l' = clamp(l, -limit, limit), both leaving NaN
// alone, o = (g' / (1 + exp(-alpha g'))) * (l' + beta). Of a block: a = max |o|, NaN skipped, scale =
// max(a / 448, 2^-126), data E4M3(o / scale).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fourge::reference {

struct Swiglu {
  bool clamped = false;
  bool gate_first = false;  // a row is [gate | linear] instead of [linear | gate]
  float limit = 0;
  float alpha = 1;
  float beta = 0;
};

float swiglu(float linear, float gate, const Swiglu& form) noexcept;

struct MoeSwigluProblem {
  std::span<const std::uint8_t> x;  // capacity rows of 2 * cols
  std::span<const float> x_scales;  // scale of block s of row r: s * stride + r
  std::int64_t cols = 0;            // a multiple of 128
  std::int64_t stride = 0;          // rows in use
  Swiglu form;
};

// y has as many rows as x; only `rows` are written, in both outputs.
void moe_swiglu_fp8_block(const MoeSwigluProblem& problem, std::span<const std::int64_t> rows,
                          std::span<std::uint8_t> y, std::span<float> y_scales);

}  // namespace fourge::reference
