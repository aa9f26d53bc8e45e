#include "tests/ops/cases/fp8_quantize_cases.hpp"

#include <fourge/fp8_quantize.hpp>

#include "reference/fp8_block.hpp"
#include "tests/support/patterns.hpp"

#include <array>
#include <string>
#include <utility>

namespace fourge::tests {
namespace {

using reference::ElementType;
using reference::Fp8Problem;

struct Input {
  std::int64_t rows;
  std::int64_t cols;
  Pattern pattern;
  float eps;
  std::uint64_t seed;
};

template <class Args>
OpCall make_call(const KernelSpec& spec, std::int64_t block_rows, const Input& input) {
  Fp8Problem problem;
  problem.type = spec.get("in") == "bf16" ? ElementType::bf16 : ElementType::f16;
  const auto x = make_input(input.pattern, problem.type, input.rows, input.cols, input.seed);
  problem.x = x;
  problem.rows = input.rows;
  problem.cols = input.cols;
  problem.block_rows = block_rows;
  problem.scale =
      spec.get("scale") == "pow2" ? reference::Fp8Scale::pow2 : reference::Fp8Scale::f32;
  if (block_rows == 1 && spec.get("storage") == "transposed") {
    problem.storage = reference::Fp8Storage::transposed;
  }
  problem.eps = input.eps;
  const auto expected = reference::quantize_fp8_blocks(problem, 4);
  OpCall call{spec,
              std::to_string(input.rows) + "x" + std::to_string(input.cols) + " " +
                  to_string(input.pattern) + " eps " + std::to_string(input.eps),
              {input_buffer("x", x), output_buffer("data", expected.data),
               output_buffer("scales", expected.scales)},
              {},
              {}};
  call.args = [input](std::span<std::uint8_t* const> at) {
    return args_bytes(
        Args{at[0], at[1], reinterpret_cast<float*>(at[2]), input.rows, input.cols, input.eps});
  };
  return call;
}

// Usually what everybody takes; now and then one that exceeds most maxima, or so little that tiny blocks
// have their own scales: the least one and some of its neighbours, of all significands.
float eps_for(std::uint64_t seed) {
  if (seed % 5 == 3) {
    return 2.0F;
  }
  return seed % 5 > 1 ? 1e-4F : 0x1p-117F * (1.0F + static_cast<float>(seed * 41 % 97) / 61.0F);
}

using Shapes = std::span<const std::array<std::int64_t, 2>>;

template <class Args>
void visit(const KernelSpec& spec, std::int64_t block_rows, Shapes shapes,
           std::span<const Pattern> patterns, const CallSink& sink) {
  std::uint64_t seed = 800;
  for (const auto& [rows, cols] : shapes) {
    for (const Pattern pattern : patterns) {
      ++seed;
      sink(make_call<Args>(spec, block_rows, {rows, cols, pattern, eps_for(seed), seed}));
    }
  }
}

constexpr Pattern kRandom[] = {Pattern::random};
constexpr Pattern kRandomAndSpecials[] = {Pattern::random, Pattern::specials};

}  // namespace

void visit_fp8_quantize_1x128_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  using Args = Fp8Quantize1x128Args;
  if (size == CallSize::large) {
    constexpr std::array<std::int64_t, 2> kShapes[] = {
        {1024, 7168}, {4093, 2064}, {70001, 128}, {3, 65536}};
    visit<Args>(spec, 1, kShapes, kRandomAndSpecials, sink);
    return;
  }
  constexpr std::array<std::int64_t, 2> kShapes[] = {{0, 128},  {1, 16},  {1, 128}, {2, 144},
                                                     {3, 2192}, {5, 256}, {34, 400}};
  visit<Args>(spec, 1, kShapes, all_patterns(), sink);
  if (spec.get("storage") == "row_major" && spec.get("tpc") == "1") {
    // Blocks too many for a warp each.
    constexpr std::array<std::int64_t, 2> kMany[] = {{4099, 128}};
    visit<Args>(spec, 1, kMany, kRandomAndSpecials, sink);
  }
}

void visit_fp8_quantize_128x128_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  using Args = Fp8Quantize128x128Args;
  if (size == CallSize::large) {
    constexpr std::array<std::int64_t, 2> kShapes[] = {{1024, 7168}, {4093, 2064}, {130, 65536}};
    visit<Args>(spec, reference::kFp8Block, kShapes, kRandomAndSpecials, sink);
    // More rows of tiles than the grid has in y.
    constexpr std::array<std::int64_t, 2> kTall[] = {{4096 * 128 + 5, 16}};
    visit<Args>(spec, reference::kFp8Block, kTall, kRandom, sink);
    return;
  }
  constexpr std::array<std::int64_t, 2> kShapes[] = {{0, 128},   {1, 16},    {3, 128},
                                                     {128, 144}, {129, 256}, {260, 48}};
  visit<Args>(spec, reference::kFp8Block, kShapes, all_patterns(), sink);
}

}  // namespace fourge::tests
