#include "tests/ops/cases/moe_swiglu_cases.hpp"

#include <fourge/moe_swiglu_fp8_block.hpp>

#include "reference/moe_swiglu.hpp"
#include "tests/support/moe_maps.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>

namespace fourge::tests {
namespace {

constexpr std::int64_t kBlock = 128;

enum class Values { ordinary, hostile };

struct Problem {
  RowMaps maps;
  std::vector<std::uint8_t> x;
  std::vector<float> x_scales;
  std::vector<std::int32_t> row_map;
  std::int64_t tokens = 0;
  std::int64_t top_k = 1;
  std::int64_t cols = 0;
  reference::Swiglu form;
  std::vector<std::uint8_t> y;
  std::vector<float> y_scales;
};

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

float poison_float() { return std::bit_cast<float>(0xA5A5A5A5U); }

// Hostile: all codes (NaN, subnormals), scales of any magnitude, zero, negative, infinite or NaN;
// gates far beyond the exponential's range.
void fill_inputs(Problem& problem, Values values, std::uint64_t seed) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  std::mt19937_64 random(seed);
  problem.x.resize(index(problem.maps.capacity * 2 * problem.cols));
  problem.x_scales.resize(problem.x.size() / kBlock);
  for (std::uint8_t& code : problem.x) {
    code = static_cast<std::uint8_t>(random());
    if (values == Values::ordinary && (code & 0x7F) == 0x7F) {
      code = static_cast<std::uint8_t>(code - 1);
    }
  }
  // Some blocks of zeros of both signs.
  for (std::size_t first = 0; first < problem.x.size(); first += kBlock) {
    if (random() % 9 == 0) {
      for (std::size_t i = first; i < first + kBlock; ++i) {
        problem.x[i] &= 0x80;
      }
    }
  }
  for (float& scale : problem.x_scales) {
    const auto draw = random();
    scale = (1.0F + static_cast<float>(draw % 1000) / 1000.0F) *
            (values == Values::ordinary ? 0.005F
                                        : std::ldexp(1.0F, static_cast<int>(draw >> 32) % 140));
    if (values == Values::hostile) {
      constexpr float kSpecial[] = {0.0F, kInfinity, kNan, 1.0F, -0.25F, 0x1p-140F, -0x1p100F};
      const auto choice = (draw >> 12) % 16;
      scale = choice < std::size(kSpecial) ? kSpecial[choice] : scale;
    }
  }
}

std::vector<std::int64_t> taken_rows(const RowMaps& maps) {
  std::vector<std::int64_t> rows;
  for (const std::int32_t row : maps.rows) {
    if (row >= 0) {
      rows.push_back(row);
    }
  }
  return rows;
}

// Neighbouring codes differ by one here.
int order_of(std::uint8_t code) {
  const int magnitude = code & 0x7F;
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

// Approximate instructions: scales within a few units, codes the same or, seldom, neighbours.
std::string judge_fast(const Problem& problem, std::span<const std::vector<std::uint8_t>> found) {
  std::vector<float> scales(problem.y_scales.size());
  if (!scales.empty()) {
    std::memcpy(scales.data(), found[3].data(), found[3].size());
  }
  for (std::size_t i = 0; i < scales.size(); ++i) {
    const float want = problem.y_scales[i];
    const bool same = std::bit_cast<std::uint32_t>(scales[i]) == std::bit_cast<std::uint32_t>(want);
    if (!same && !(std::fabs(scales[i] - want) <= 1e-5F * std::fabs(want))) {
      return "y_scales " + std::to_string(i) + " is too far off";
    }
  }
  std::size_t neighbours = 0;
  for (std::size_t i = 0; i < problem.y.size(); ++i) {
    if (found[2][i] != problem.y[i]) {
      const bool poison = problem.y[i] == kPoison;
      if (std::abs(order_of(found[2][i]) - order_of(problem.y[i])) > 1 || poison) {
        return "y byte " + std::to_string(i) + " is no neighbour";
      }
      ++neighbours;
    }
  }
  return neighbours <= 8 + problem.y.size() / 500 ? "" : "too many codes differ";
}

OpCall make_call(const KernelSpec& spec, const Routing& routing, std::int64_t cols, Values values,
                 std::uint64_t seed) {
  auto problem = std::make_shared<Problem>();
  problem->maps = make_row_maps(routing, IndexConvention::padded, 8);
  problem->tokens = routing.tokens;
  problem->top_k = routing.top_k;
  problem->cols = cols;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  problem->form = {spec.get("form") == "clamped", spec.get("order") == "gate_first",
                   seed % 3 == 0 ? kInfinity : 7.0F, seed % 3 == 1 ? 0.5F : 1.702F,
                   seed % 3 == 1 ? 0.0F : 1.0F};
  problem->row_map = spec.get("rows") == "map" ? problem->maps.rows : problem->maps.entries;
  fill_inputs(*problem, values, seed);
  problem->y.assign(problem->x.size() / 2, kPoison);
  problem->y_scales.assign(problem->x_scales.size() / 2, poison_float());
  reference::moe_swiglu_fp8_block(
      {problem->x, problem->x_scales, cols, problem->maps.used, problem->form},
      taken_rows(problem->maps), problem->y, problem->y_scales);
  const std::vector<std::int32_t> used{static_cast<std::int32_t>(problem->maps.used)};
  OpCall call{spec,
              routing.label + ", cols " + std::to_string(cols) +
                  (values == Values::hostile ? ", hostile" : ""),
              {input_buffer("x", problem->x), input_buffer("x_scales", problem->x_scales),
               output_buffer("y", problem->y), output_buffer("y_scales", problem->y_scales),
               input_buffer("row_map", problem->row_map), input_buffer("padded_rows", used)},
              {},
              {}};
  call.args = [problem](std::span<std::uint8_t* const> at) {
    return args_bytes(MoeSwigluFp8BlockArgs{
        at[0], reinterpret_cast<const float*>(at[1]), at[2], reinterpret_cast<float*>(at[3]),
        reinterpret_cast<const std::int32_t*>(at[4]), reinterpret_cast<const std::int32_t*>(at[5]),
        problem->tokens, problem->top_k, problem->cols, problem->maps.capacity, problem->form.limit,
        problem->form.alpha, problem->form.beta});
  };
  if (spec.get("math") == "fast") {
    call.judge = [problem](std::span<const std::vector<std::uint8_t>> found) {
      return judge_fast(*problem, found);
    };
  }
  return call;
}

}  // namespace

void visit_moe_swiglu_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  const bool exact = spec.get("math") == "exact";
  std::uint64_t seed = 40;
  const auto visit = [&](const Routing& routing, std::int64_t cols, Values values) {
    sink(make_call(spec, routing, cols, values, ++seed));
  };
  if (size == CallSize::large) {
    for (const std::int64_t tokens : {33, 34, 257}) {
      visit(random_routing(tokens, 8, 64, 16, 32, 6), 2048, Values::ordinary);
    }
    // More groups of entries than the grid has in y.
    visit(random_routing(40000, 8, 16, 3, 1, 7), 128, Values::ordinary);
    return;
  }
  for (const Routing& routing : usual_routings()) {
    const bool tall = routing.tokens > 100;
    visit(routing, tall ? 128 : 384, Values::ordinary);
    if (exact && !tall) {
      visit(routing, 256, Values::hostile);
    }
  }
  visit(random_routing(3, 2, 4, 0, 3, 8), 2176, Values::ordinary);
  // One entry less than a CTA may take, as many, and one more.
  for (const std::int64_t tokens : {2, 3, 4, 5}) {
    visit(random_routing(tokens, 1, 3, 0, 2, 9), 128, Values::ordinary);
  }
}

}  // namespace fourge::tests
