#include "tests/ops/cases/moe_swiglu_cases.hpp"

#include <fourge/moe_swiglu_fp8_block.hpp>

#include "reference/formats.hpp"
#include "reference/moe_swiglu.hpp"
#include "tests/support/moe_maps.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>

namespace fourge::tests {
namespace {

constexpr std::int64_t kBlock = 128;

enum class Values { ordinary, hostile, borderline };

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

// How far a quotient is from where its code changes, as a part of it.
float distance_to_border(float quotient) {
  const float magnitude = std::fabs(quotient);
  if (magnitude == 0.0F || magnitude >= 448.0F) {
    return 1.0F;
  }
  const int exponent = std::max(std::ilogb(magnitude), -6);
  const float steps = std::ldexp(magnitude, 3 - exponent);
  return std::fabs(steps - (std::floor(steps) + 0.5F)) / steps;
}

struct CodePair {
  std::uint8_t linear;
  std::uint8_t gate;
  float value;
};

// The pair with the largest result, and those whose quotients by the scale that it makes are nearest to a
// border.
std::vector<CodePair> borderline_pairs(float linear_scale, float gate_scale,
                                       const reference::Swiglu& form) {
  std::vector<CodePair> pairs;
  for (int g = 0; g < 256; ++g) {
    for (int l = 0; l < 0x7F; ++l) {
      const CodePair pair{static_cast<std::uint8_t>(l), static_cast<std::uint8_t>(g), 0.0F};
      if ((g & 0x7F) != 0x7F) {
        pairs.push_back(pair);
        pairs.back().value =
            reference::swiglu(linear_scale * reference::decode_e4m3(pair.linear),
                              gate_scale * reference::decode_e4m3(pair.gate), form);
      }
    }
  }
  const auto magnitude = [](const CodePair& pair) { return std::fabs(pair.value); };
  const auto largest = std::max_element(
      pairs.begin(), pairs.end(),
      [&](const CodePair& a, const CodePair& b) { return magnitude(a) < magnitude(b); });
  std::iter_swap(pairs.begin(), largest);
  const float scale = magnitude(pairs.front()) / 448.0F;
  std::nth_element(pairs.begin() + 1, pairs.begin() + kBlock, pairs.end(),
                   [&](const CodePair& a, const CodePair& b) {
                     return distance_to_border(a.value / scale) <
                            distance_to_border(b.value / scale);
                   });
  pairs.resize(kBlock);
  return pairs;
}

// Blocks in which an approximate quotient would give many a wrong code.
void fill_borderline(Problem& problem, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto draw_scale = [&](int low, int high) {
    const float magnitude =
        std::ldexp(1.0F + static_cast<float>(random() % 8'388'608) / 8'388'608.0F,
                   low + static_cast<int>(random() % static_cast<unsigned>(high - low)));
    return random() % 4 == 0 ? -magnitude : magnitude;
  };
  const std::int64_t blocks = problem.cols / kBlock;
  problem.x.assign(index(problem.maps.capacity * 2 * problem.cols), 0);
  problem.x_scales.assign(problem.x.size() / kBlock, 1.0F);
  for (std::int64_t row = 0; row < problem.maps.used; ++row) {
    for (std::int64_t block = 0; block < blocks; ++block) {
      const float linear_scale = draw_scale(-12, 8);
      const float gate_scale = draw_scale(-12, -2);
      auto pairs = borderline_pairs(linear_scale, gate_scale, problem.form);
      std::shuffle(pairs.begin(), pairs.end(), random);
      const std::int64_t linear_half = problem.form.gate_first ? blocks : 0;
      const std::int64_t gate_half = problem.form.gate_first ? 0 : blocks;
      for (std::int64_t i = 0; i < kBlock; ++i) {
        const std::int64_t first = row * 2 * problem.cols + i;
        const auto sign = static_cast<std::uint8_t>(random() % 2 * 0x80);
        problem.x[index(first + (linear_half + block) * kBlock)] = pairs[index(i)].linear ^ sign;
        problem.x[index(first + (gate_half + block) * kBlock)] = pairs[index(i)].gate;
      }
      problem.x_scales[index((linear_half + block) * problem.maps.used + row)] = linear_scale;
      problem.x_scales[index((gate_half + block) * problem.maps.used + row)] = gate_scale;
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
  if (values == Values::borderline) {
    fill_borderline(*problem, seed);
  } else {
    fill_inputs(*problem, values, seed);
  }
  problem->y.assign(problem->x.size() / 2, kPoison);
  problem->y_scales.assign(problem->x_scales.size() / 2, poison_float());
  reference::moe_swiglu_fp8_block(
      {problem->x, problem->x_scales, cols, problem->maps.used, problem->form},
      taken_rows(problem->maps), problem->y, problem->y_scales);
  const std::vector<std::int32_t> used{static_cast<std::int32_t>(problem->maps.used)};
  OpCall call{spec,
              routing.label + ", cols " + std::to_string(cols) +
                  (values == Values::hostile      ? ", hostile"
                   : values == Values::borderline ? ", borderline"
                                                  : ""),
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
    if (exact) {
      visit(random_routing(48, 8, 64, 16, 32, 12), 1024, Values::borderline);
    }
    for (const std::int64_t tokens : {33, 34, 257}) {
      visit(random_routing(tokens, 8, 64, 16, 32, 6), 2048, Values::ordinary);
    }
    // Thousands of CTAs, with runs of rounds and with single ones.
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
  if (exact) {
    visit(random_routing(5, 2, 4, 0, 3, 11), 256, Values::borderline);
  }
  // One entry less than a CTA may take, as many, and one more.
  for (const std::int64_t tokens : {2, 3, 4, 5}) {
    visit(random_routing(tokens, 1, 3, 0, 2, 9), 128, Values::ordinary);
  }
  // Two rows a round: no run of rounds with tpc=4, one, and one with a row too few.
  for (const std::int64_t tokens : {8, 9, 17}) {
    visit(random_routing(tokens, 1, 3, 0, 2, 9), 1536, Values::ordinary);
  }
}

}  // namespace fourge::tests
