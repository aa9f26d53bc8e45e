#include "reference/moe_route.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "reference/ftz.hpp"
#include "reference/silu.hpp"

namespace fourge::reference {
namespace {

float natural_exp(float x) {
  constexpr float kLog2E = std::bit_cast<float>(0x3FB8AA3BU);
  return exp2_exact_mode(ftz::mul(x, kLog2E));
}

float sigmoid(float l) { return sigmoid_exact_mode(l); }

// The indices of the largest values, the best first, the lower of equal ones first.
std::vector<std::size_t> best(const std::vector<float>& values, std::size_t count) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  order.resize(count);
  return order;
}

// Lane i of 32 adds values i, i + 32, ...; lanes add as a butterfly.
float sum_of_exponentials(const std::vector<float>& logits, float largest) {
  std::array<float, 32> lanes{};
  for (std::size_t i = 0; i < logits.size(); ++i) {
    lanes[i % 32] = ftz::add(lanes[i % 32], natural_exp(ftz::sub(logits[i], largest)));
  }
  for (std::size_t d = 16; d > 0; d /= 2) {
    const auto old = lanes;
    for (std::size_t i = 0; i < 32; ++i) {
      lanes[i] = ftz::add(old[i], old[i ^ d]);
    }
  }
  return lanes[0];
}

// Everything outside the best groups is left out.
std::vector<std::size_t> best_in_groups(const std::vector<float>& values, const RouteForm& form) {
  const std::size_t size = values.size() / form.groups;
  std::vector<float> scores;
  for (std::size_t g = 0; g < form.groups; ++g) {
    std::vector<float> group(values.begin() + static_cast<std::ptrdiff_t>(g * size),
                             values.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
    std::sort(group.begin(), group.end(), std::greater<>());
    scores.push_back(ftz::add(group[0], group[1]));
  }
  std::vector<std::size_t> members;
  for (const std::size_t g : best(scores, form.kept_groups)) {
    for (std::size_t e = g * size; e < (g + 1) * size; ++e) {
      members.push_back(e);
    }
  }
  std::sort(members.begin(), members.end());
  std::vector<float> kept;
  for (const std::size_t e : members) {
    kept.push_back(values[e]);
  }
  std::vector<std::size_t> chosen;
  for (const std::size_t i : best(kept, form.top_k)) {
    chosen.push_back(members[i]);
  }
  return chosen;
}

}  // namespace

Route route_token(std::span<const float> logits, std::span<const float> bias,
                  const RouteForm& form) {
  const bool by_sigmoid = form.method == RouteMethod::sigmoid ||
                          form.method == RouteMethod::sigmoid_renorm ||
                          form.method == RouteMethod::deepseek;
  std::vector<float> values;
  std::vector<float> compared;
  for (std::size_t e = 0; e < logits.size(); ++e) {
    const float l = std::isnan(logits[e]) ? -std::numeric_limits<float>::infinity() : logits[e];
    values.push_back(by_sigmoid ? sigmoid(l) : l);
    compared.push_back(ftz::add(values[e], bias.empty() ? 0.0F : bias[e]));
  }
  const auto chosen = form.method == RouteMethod::deepseek ? best_in_groups(compared, form)
                                                           : best(compared, form.top_k);
  Route route;
  for (const std::size_t e : chosen) {
    route.ids.push_back(static_cast<std::int32_t>(e));
    route.weights.push_back(values[e]);
  }
  const float largest = route.weights.front();
  float sum = form.method == RouteMethod::softmax ? sum_of_exponentials(values, largest) : 0.0F;
  for (float& weight : route.weights) {
    if (form.method == RouteMethod::softmax || form.method == RouteMethod::renormalize) {
      weight = natural_exp(ftz::sub(weight, largest));
    } else if (form.method == RouteMethod::llama4) {
      weight = sigmoid(weight);
    }
    if (form.method != RouteMethod::softmax) {
      sum = ftz::add(sum, weight);
    }
  }
  if (form.method == RouteMethod::sigmoid_renorm || form.method == RouteMethod::deepseek) {
    sum = ftz::add(sum, 1e-20F);
  }
  for (float& weight : route.weights) {
    if (form.method == RouteMethod::deepseek) {
      weight = ftz::mul(weight, form.scale);
    }
    if (form.method != RouteMethod::sigmoid && form.method != RouteMethod::llama4 &&
        form.method != RouteMethod::raw) {
      weight = ftz::div(weight, sum);
    }
  }
  return route;
}

}  // namespace fourge::reference
