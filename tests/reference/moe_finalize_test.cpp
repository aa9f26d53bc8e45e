#include "reference/moe_finalize.hpp"

#include <vector>

#include "tests/support/catch.hpp"

namespace reference = fourge::reference;
using reference::MoeFinalizeProblem;

namespace {

std::vector<std::uint16_t> bf16(const std::vector<float>& values) {
  std::vector<std::uint16_t> x;
  for (const float value : values) {
    x.push_back(reference::float_to_bf16(value));
  }
  return x;
}

}  // namespace

TEST_CASE("the weighted sum of a token's rows", "[moe]") {
  const auto x = bf16({1, 2, 99, 3, 4, 99, 5, 6, 99});
  const std::vector<std::int64_t> rows{2, 0, -1, 1, -1, -1};
  const std::vector<float> weights{2, 10, 1000, 0.5F, 1, 1};
  MoeFinalizeProblem problem;
  problem.x = x;
  problem.rows = rows;
  problem.weights = weights;
  problem.tokens = 3;
  problem.top_k = 2;
  problem.cols = 2;
  problem.x_cols = 3;
  CHECK(moe_finalize(problem) == bf16({20, 32, 1.5F, 2, 0, 0}));

  const auto bias = bf16({100, 200});
  const std::vector<std::int64_t> experts{0, -1, 0, 0, 0, 0};
  const auto shared = bf16({1, 1, 1, 1, -7, -0.0F});
  problem.bias = bias;
  problem.experts = experts;
  problem.shared = shared;
  CHECK(moe_finalize(problem) == bf16({221, 433, 52.5F, 103, -7, 0}));
}

TEST_CASE("the sum goes in the order of j, each product rounded", "[moe]") {
  const auto x = bf16({1, 0x1p24F, -0x1p24F});
  const std::vector<float> weights{1, 1, 1};
  MoeFinalizeProblem problem;
  problem.x = x;
  problem.weights = weights;
  problem.tokens = 1;
  problem.top_k = 3;
  problem.cols = problem.x_cols = 1;
  const std::vector<std::int64_t> lost{0, 1, 2};
  problem.rows = lost;
  CHECK(moe_finalize(problem) == bf16({0}));
  const std::vector<std::int64_t> kept{1, 2, 0};
  problem.rows = kept;
  CHECK(moe_finalize(problem) == bf16({1}));
}
