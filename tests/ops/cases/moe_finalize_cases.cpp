#include "tests/ops/cases/moe_finalize_cases.hpp"

#include <fourge/moe_finalize.hpp>

#include "reference/moe_finalize.hpp"
#include "tests/support/moe_maps.hpp"
#include "tests/support/patterns.hpp"

#include <cmath>
#include <memory>
#include <random>

namespace fourge::tests {
namespace {

using reference::ElementType;

struct Problem {
  Routing routing;
  RowMaps maps;
  std::vector<std::uint16_t> x;
  std::vector<float> weights;
  std::vector<std::uint16_t> weights_16;
  std::vector<std::int64_t> rows;  // [tokens][top_k], whatever the convention
  std::vector<std::int64_t> expert_of;
  std::vector<std::int32_t> expert_ids;
  std::vector<std::uint16_t> bias;
  std::vector<std::uint16_t> shared;
  std::int64_t cols = 0;
  std::int64_t x_cols = 0;
};

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

// rows * cols of a pattern, whatever cols is.
std::vector<std::uint16_t> make_matrix(Pattern pattern, ElementType type, std::int64_t rows,
                                       std::int64_t cols, std::uint64_t seed) {
  auto matrix = make_input(pattern, type, rows, (cols + 15) / 16 * 16, seed);
  matrix.resize(index(rows * cols));
  return matrix;
}

void fill_routing(Problem& problem, IndexConvention convention, std::uint64_t seed) {
  const Routing& routing = problem.routing;
  std::mt19937_64 random(seed);
  for (std::int64_t t = 0; t < routing.tokens; ++t) {
    for (std::int64_t j = 0; j < routing.top_k; ++j) {
      const std::int64_t entry =
          convention == IndexConvention::padded ? t * routing.top_k + j : j * routing.tokens + t;
      problem.rows.push_back(problem.maps.rows[index(entry)]);
      // Some without a bias.
      const std::int64_t id = routing.ids[index(t * routing.top_k + j)];
      const auto draw = random() % 12;
      problem.expert_ids.push_back(
          static_cast<std::int32_t>(draw == 0 ? -1 : (draw == 1 ? routing.experts : id)));
      problem.expert_of.push_back(draw <= 1 ? -1 : id);
      const float weight = static_cast<float>(random() % 4096) / 2048.0F - 0.25F;
      problem.weights_16.push_back(reference::float_to_bf16(weight));
      problem.weights.push_back(weight);
    }
  }
}

// Rows that nobody refers to hold NaN, which must not get out.
void fill_unused_with_nan(Problem& problem) {
  for (std::int64_t r = 0; r < problem.maps.capacity; ++r) {
    if (problem.maps.entries[index(r)] < 0) {
      std::fill_n(problem.x.begin() + static_cast<std::ptrdiff_t>(r * problem.x_cols),
                  problem.x_cols, std::uint16_t{0x7FFF});
    }
  }
}

std::vector<std::uint16_t> expected_output(const Problem& problem, ElementType type) {
  auto out = reference::moe_finalize({type, problem.x, problem.rows, problem.weights, problem.bias,
                                      problem.expert_of, problem.shared, problem.routing.tokens,
                                      problem.routing.top_k, problem.cols, problem.x_cols});
  for (std::uint16_t& element : out) {
    if (std::isnan(reference::to_float(type, element))) {
      element = 0x7FFF;  // as devices write it
    }
  }
  return out;
}

std::vector<OpBuffer> buffers_of(const KernelSpec& spec, const Problem& problem,
                                 const std::vector<std::uint16_t>& out) {
  return {input_buffer("x", problem.x),
          output_buffer("out", out),
          input_buffer("rows", problem.maps.rows),
          spec.get("weights") == "bf16" ? input_buffer("weights", problem.weights_16)
                                        : input_buffer("weights", problem.weights),
          input_buffer("bias", problem.bias),
          input_buffer("expert_ids", problem.expert_ids),
          input_buffer("shared", problem.shared)};
}

OpCall make_call(const KernelSpec& spec, const Routing& routing, std::int64_t cols,
                 std::int64_t x_cols, Pattern pattern, std::uint64_t seed) {
  auto problem = std::make_shared<Problem>();
  const bool padded = spec.get("index") == "padded";
  const auto convention = padded ? IndexConvention::padded : IndexConvention::compact;
  const ElementType type = spec.get("in") == "bf16" ? ElementType::bf16 : ElementType::f16;
  problem->routing = routing;
  problem->maps = make_row_maps(routing, convention, padded ? 8 : 1);
  problem->cols = cols;
  problem->x_cols = x_cols;
  fill_routing(*problem, convention, seed);
  problem->x = make_matrix(pattern, type, problem->maps.capacity, x_cols, seed);
  fill_unused_with_nan(*problem);
  if (spec.get("weights") == "none") {
    problem->weights.assign(problem->weights.size(), 1.0F);
  } else if (spec.get("weights") == "bf16") {
    for (std::size_t i = 0; i < problem->weights.size(); ++i) {
      problem->weights[i] = reference::bf16_to_float(problem->weights_16[i]);
    }
  }
  if (spec.get("bias") == "on") {
    problem->bias = make_matrix(Pattern::random, type, routing.experts, cols, seed + 1);
  }
  if (spec.get("shared") == "on") {
    problem->shared = make_matrix(Pattern::random, type, routing.tokens, cols, seed + 2);
  }
  OpCall call{spec,
              routing.label + ", cols " + std::to_string(cols) + " of " + std::to_string(x_cols) +
                  " " + to_string(pattern),
              buffers_of(spec, *problem, expected_output(*problem, type)),
              {},
              {}};
  call.args = [problem](std::span<std::uint8_t* const> at) {
    return args_bytes(MoeFinalizeArgs{at[0], at[1], reinterpret_cast<const std::int32_t*>(at[2]),
                                      at[3], at[4], reinterpret_cast<const std::int32_t*>(at[5]),
                                      at[6], problem->routing.tokens, problem->routing.top_k,
                                      problem->cols, problem->x_cols, problem->maps.capacity,
                                      problem->routing.experts});
  };
  return call;
}

}  // namespace

void visit_moe_finalize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  std::uint64_t seed = 80;
  const auto visit = [&](const Routing& routing, std::int64_t cols, std::int64_t x_cols,
                         Pattern pattern) {
    seed += 3;
    sink(make_call(spec, routing, cols, x_cols, pattern, seed));
  };
  if (size == CallSize::large) {
    visit(random_routing(513, 8, 64, 16, 32, 6), 4096, 4096, Pattern::random);
    // More tokens than the grid has in y.
    visit(random_routing(70001, 2, 8, 0, 5, 7), 16, 24, Pattern::random);
    return;
  }
  for (const Routing& routing : usual_routings()) {
    visit(routing, 40, 40, Pattern::random);
  }
  const Routing some = random_routing(9, 3, 5, 1, 3, 8);
  for (const Pattern pattern : {Pattern::maxes, Pattern::specials, Pattern::subnormals}) {
    visit(some, 208, 208, pattern);
  }
  visit(some, 1096, 1104, Pattern::random);
  for (const std::int64_t top_k : {8, 22}) {
    visit(random_routing(7, top_k, 40, 4, 30, 9), 64, 64, Pattern::random);
  }
  visit(random_routing(4, 22, 40, 0, 30, 9), 64, 72, Pattern::random);
}

}  // namespace fourge::tests
