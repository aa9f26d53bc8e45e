#include "tests/ops/cases/moe_route_cases.hpp"

#include <fourge/moe_route.hpp>

#include "reference/formats.hpp"
#include "reference/moe_route.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace fourge::tests {
namespace {

using reference::RouteMethod;

enum class Logits { random, coarse, equal, hostile };

struct Shape {
  std::int64_t tokens;
  std::int64_t experts;
  std::int64_t top_k;
  std::int64_t groups = 1;
  std::int64_t kept_groups = 1;
};

RouteMethod method_of(const KernelSpec& spec) {
  constexpr std::array<const char*, 7> kNames{"softmax", "renormalize", "sigmoid", "sigmoid_renorm",
                                              "llama4",  "deepseek",    "raw"};
  const auto found = std::find(kNames.begin(), kNames.end(), std::string(spec.get("method")));
  return static_cast<RouteMethod>(found - kNames.begin());
}

// Coarse ones have many ties. Hostile ones have NaN, -infinity, zeros of both signs and subnormals, but
// nothing that would make a weight NaN.
std::vector<float> make_logits(const Shape& shape, Logits kind, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> logits;
  for (std::int64_t i = 0; i < shape.tokens * shape.experts; ++i) {
    const float u = static_cast<float>(random() >> 40) / 16777216.0F;
    float v = 16.0F * u - 8.0F;
    if (kind == Logits::coarse) {
      v = std::floor(v / 4.0F);
    } else if (kind == Logits::equal) {
      v = 0.5F;
    } else if (kind == Logits::hostile && i % shape.experts != 0) {
      constexpr float kOdd[] = {-std::numeric_limits<float>::infinity(),
                                0.0F,
                                -0.0F,
                                1e-40F,
                                -80.0F,
                                -120.0F,
                                60.0F,
                                1e30F};
      v = random() % 9 == 0 ? std::nanf("") : kOdd[random() % 8];
    }
    logits.push_back(v);
  }
  return logits;
}

// As the kernel sees them, and their bytes.
OpBuffer store_logits(const KernelSpec& spec, std::vector<float>& logits) {
  if (spec.get("in") == "f32") {
    return input_buffer("logits", logits);
  }
  const auto type =
      spec.get("in") == "bf16" ? reference::ElementType::bf16 : reference::ElementType::f16;
  std::vector<std::uint16_t> narrow;
  for (float& v : logits) {
    const float bounded = std::isnan(v) || std::isinf(v) ? v : std::clamp(v, -60000.0F, 60000.0F);
    narrow.push_back(reference::from_float(type, bounded));
    v = reference::to_float(type, narrow.back());
  }
  return input_buffer("logits", narrow);
}

OpCall make_call(const KernelSpec& spec, const Shape& shape, Logits kind, bool with_bias,
                 std::uint64_t seed) {
  auto logits = make_logits(shape, kind, seed);
  const OpBuffer stored = store_logits(spec, logits);
  std::vector<float> bias;
  for (std::int64_t e = 0; with_bias && e < shape.experts; ++e) {
    bias.push_back(static_cast<float>((e * 7 + 3) % 11) * 0.125F - 2.0F);  // mostly negative
  }
  reference::RouteForm form;
  form.method = method_of(spec);
  form.top_k = static_cast<std::size_t>(shape.top_k);
  form.groups = static_cast<std::size_t>(shape.groups);
  form.kept_groups = static_cast<std::size_t>(shape.kept_groups);
  form.scale = 2.5F;
  std::vector<std::int32_t> ids;
  std::vector<float> weights;
  const auto experts = static_cast<std::size_t>(shape.experts);
  for (std::size_t t = 0; t < static_cast<std::size_t>(shape.tokens); ++t) {
    const auto route = route_token(std::span(logits).subspan(t * experts, experts), bias, form);
    ids.insert(ids.end(), route.ids.begin(), route.ids.end());
    weights.insert(weights.end(), route.weights.begin(), route.weights.end());
  }
  OpCall call{spec,
              std::to_string(shape.tokens) + " tokens, " + std::to_string(shape.top_k) + " of " +
                  std::to_string(shape.experts) + " experts, kind " +
                  std::to_string(static_cast<int>(kind)),
              {stored, input_buffer("bias", bias), output_buffer("ids", ids),
               output_buffer("weights", weights)},
              {},
              {}};
  call.args = [shape, with_bias](std::span<std::uint8_t* const> at) {
    MoeRouteTopkArgs args;
    args.logits = at[0];
    args.bias = with_bias ? reinterpret_cast<const float*>(at[1]) : nullptr;
    args.ids = reinterpret_cast<std::int32_t*>(at[2]);
    args.weights = reinterpret_cast<float*>(at[3]);
    args.scale = 2.5F;
    args.tokens = shape.tokens;
    args.experts = shape.experts;
    args.top_k = shape.top_k;
    args.groups = shape.groups;
    args.kept_groups = shape.kept_groups;
    return args_bytes(args);
  };
  return call;
}

}  // namespace

void visit_moe_route_topk_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  constexpr Shape kPlain[] = {{0, 8, 2},  {1, 1, 1},   {5, 7, 3},
                              {9, 64, 6}, {3, 33, 32}, {4, 512, 22}};
  constexpr Shape kPlainLarge[] = {{16384, 256, 8}, {3000, 512, 32}};
  constexpr Shape kGrouped[] = {{0, 8, 2, 2, 1},  {1, 256, 8, 8, 4},    {9, 64, 6, 4, 2},
                                {5, 12, 5, 3, 2}, {4, 512, 32, 32, 20}, {3, 96, 4, 1, 1}};
  constexpr Shape kGroupedLarge[] = {{16384, 256, 8, 8, 4}, {3000, 512, 22, 16, 5}};
  const RouteMethod method = method_of(spec);
  const bool grouped = method == RouteMethod::deepseek;
  const bool large = size == CallSize::large;
  const std::span<const Shape> plain = large ? std::span<const Shape>(kPlainLarge) : kPlain;
  const std::span<const Shape> in_groups = large ? std::span<const Shape>(kGroupedLarge) : kGrouped;
  std::uint64_t seed = 2100;
  for (Shape shape : grouped ? in_groups : plain) {
    shape.top_k = method == RouteMethod::llama4 ? 1 : shape.top_k;
    for (const Logits kind : {Logits::random, Logits::coarse, Logits::equal, Logits::hostile}) {
      ++seed;
      sink(make_call(spec, shape, kind, grouped && seed % 2 == 0, seed));
    }
  }
}

}  // namespace fourge::tests
