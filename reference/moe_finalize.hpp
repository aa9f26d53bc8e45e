// The weighted sum of the rows of a token's experts: from 0, in the order of j, sum + weight * (x +
// bias) with one rounding an operation and FTZ (ftz.hpp), then the shared expert's output, then rounded
// to the type of x.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/formats.hpp"

namespace fourge::reference {

struct MoeFinalizeProblem {
  ElementType type = ElementType::bf16;
  std::span<const std::uint16_t> x;       // rows of x_cols
  std::span<const std::int64_t> rows;     // [tokens][top_k]; negative: skipped
  std::span<const float> weights;         // [tokens][top_k]
  std::span<const std::uint16_t> bias;    // rows of cols; may be empty
  std::span<const std::int64_t> experts;  // [tokens][top_k], row of bias; negative: none
  std::span<const std::uint16_t> shared;  // [tokens][cols]; may be empty
  std::int64_t tokens = 0;
  std::int64_t top_k = 1;
  std::int64_t cols = 0;
  std::int64_t x_cols = 0;
};

std::vector<std::uint16_t> moe_finalize(const MoeFinalizeProblem& problem);

}  // namespace fourge::reference
