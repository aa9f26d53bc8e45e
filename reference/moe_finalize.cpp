#include "reference/moe_finalize.hpp"

#include "reference/ftz.hpp"

namespace fourge::reference {
namespace {

float element(const MoeFinalizeProblem& problem, std::span<const std::uint16_t> matrix,
              std::int64_t row, std::int64_t row_cols, std::int64_t col) {
  return to_float(problem.type, matrix[static_cast<std::size_t>(row * row_cols + col)]);
}

float weighted_sum(const MoeFinalizeProblem& problem, std::int64_t token, std::int64_t col) {
  float sum = 0;
  for (std::int64_t j = 0; j < problem.top_k; ++j) {
    const auto at = static_cast<std::size_t>(token * problem.top_k + j);
    if (problem.rows[at] < 0) {
      continue;
    }
    float value = element(problem, problem.x, problem.rows[at], problem.x_cols, col);
    if (!problem.bias.empty() && problem.experts[at] >= 0) {
      value =
          ftz::add(value, element(problem, problem.bias, problem.experts[at], problem.cols, col));
    }
    sum = ftz::add(sum, ftz::mul(problem.weights[at], value));
  }
  return sum;
}

}  // namespace

std::vector<std::uint16_t> moe_finalize(const MoeFinalizeProblem& problem) {
  std::vector<std::uint16_t> out;
  for (std::int64_t token = 0; token < problem.tokens; ++token) {
    for (std::int64_t col = 0; col < problem.cols; ++col) {
      float sum = weighted_sum(problem, token, col);
      if (!problem.shared.empty()) {
        sum = ftz::add(sum, element(problem, problem.shared, token, problem.cols, col));
      }
      out.push_back(from_float(problem.type, sum));
    }
  }
  return out;
}

}  // namespace fourge::reference
