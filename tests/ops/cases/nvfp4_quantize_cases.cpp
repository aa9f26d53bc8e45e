#include "tests/ops/cases/nvfp4_quantize_cases.hpp"

#include <fourge/nvfp4_quantize.hpp>

#include "reference/compare.hpp"
#include "reference/nvfp4.hpp"
#include "tests/support/patterns.hpp"

#include <array>
#include <memory>
#include <utility>

namespace fourge::tests {
namespace {

using reference::ElementType;
using reference::Nvfp4Output;
using reference::Nvfp4Problem;

// The input lives as long as the problem that looks at it.
struct Owned {
  std::vector<std::uint16_t> x;
  Nvfp4Problem problem;
  Nvfp4Output expected;
};

std::shared_ptr<const Owned> solve(const KernelSpec& spec, Pattern pattern, std::int64_t rows,
                                   std::int64_t cols, std::uint64_t seed) {
  auto owned = std::make_shared<Owned>();
  Nvfp4Problem& problem = owned->problem;
  problem.type = spec.get("in") == "bf16" ? ElementType::bf16 : ElementType::f16;
  owned->x = make_input(pattern, problem.type, rows, cols, seed);
  problem.x = owned->x;
  problem.rows = rows;
  problem.cols = cols;
  problem.global_scale = te_global_scale(owned->x, problem.type);
  problem.math =
      spec.get("math") == "exact" ? reference::MathMode::exact : reference::MathMode::fast;
  problem.layout = reference::parse_scale_layout(spec.get("layout"));
  owned->expected = reference::quantize_nvfp4(problem, 4);
  return owned;
}

OpCall make_call(const KernelSpec& spec, const std::shared_ptr<const Owned>& owned,
                 std::string label, bool scale_in_memory) {
  const Nvfp4Problem& problem = owned->problem;
  OpCall call{spec, std::move(label), {}, {}, {}};
  call.buffers.push_back(input_buffer<std::uint16_t>("x", problem.x));
  call.buffers.push_back(output_buffer("codes", owned->expected.codes));
  call.buffers.push_back(output_buffer("scales", owned->expected.scales));
  call.buffers.push_back(input_buffer("global_scale", std::vector<float>{problem.global_scale}));
  call.args = [owned, scale_in_memory](std::span<std::uint8_t* const> at) {
    Nvfp4QuantizeArgs args;
    args.x = at[0];
    args.codes = at[1];
    args.scales = at[2];
    args.global_scale = scale_in_memory ? reinterpret_cast<const float*>(at[3]) : nullptr;
    args.global_scale_value = scale_in_memory ? 1.0F : owned->problem.global_scale;
    args.rows = owned->problem.rows;
    args.cols = owned->problem.cols;
    return args_bytes(args);
  };
  if (problem.math == reference::MathMode::fast) {
    call.judge = [owned](std::span<const std::vector<std::uint8_t>> found) {
      return compare_nvfp4(owned->problem, owned->expected, {found[1], found[2]}).first;
    };
  }
  return call;
}

constexpr std::array<std::array<std::int64_t, 2>, 7> kSmall{
    {{0, 64}, {1, 16}, {3, 64}, {17, 208}, {120, 64}, {129, 256}, {1, 7168}}};
constexpr std::array<std::array<std::int64_t, 2>, 2> kLarge{{{1000, 7168}, {4096, 4096}}};

}  // namespace

void visit_nvfp4_quantize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  std::uint64_t seed = 42;
  const auto visit = [&](std::int64_t rows, std::int64_t cols, Pattern pattern) {
    const auto owned = solve(spec, pattern, rows, cols, ++seed);
    sink(make_call(spec, owned,
                   std::to_string(rows) + "x" + std::to_string(cols) + " " + to_string(pattern),
                   seed % 2 == 0));
  };
  if (size == CallSize::large) {
    for (const auto& [rows, cols] : kLarge) {
      visit(rows, cols, Pattern::random);
    }
    return;
  }
  for (const auto& [rows, cols] : kSmall) {
    for (const Pattern pattern : all_patterns()) {
      visit(rows, cols, pattern);
    }
  }
}

}  // namespace fourge::tests
