#include "reference/moe_route.hpp"

#include <cmath>

#include "tests/support/catch.hpp"

using namespace fourge::reference;
using Ids = std::vector<std::int32_t>;

namespace {

Route route(RouteMethod method, std::size_t top_k, const std::vector<float>& logits,
            const std::vector<float>& bias = {}, std::size_t groups = 1, std::size_t kept = 1) {
  return route_token(logits, bias, {method, top_k, groups, kept, 2.5F});
}

bool near(float found, double expected) {
  return std::fabs(static_cast<double>(found) - expected) <= 1e-6 * std::fabs(expected);
}

}  // namespace

TEST_CASE("route: ties go to the lower expert, NaN to nobody", "[moe-route]") {
  const float nan = std::nanf("");
  CHECK(route(RouteMethod::softmax, 3, {1, 2, 2, 0, 2}).ids == Ids{1, 2, 4});
  CHECK(route(RouteMethod::renormalize, 2, {nan, 0.0F, -0.0F}).ids == Ids{1, 2});
  CHECK(route(RouteMethod::renormalize, 2, {nan, -0.0F, 0.0F}).ids == Ids{1, 2});
  CHECK(route(RouteMethod::sigmoid, 2, {nan, -5, nan}).ids == Ids{1, 0});
  CHECK(route(RouteMethod::sigmoid, 3, {90, 91, 92}).ids == Ids{0, 1, 2});  // all sigmoids are 1
}

TEST_CASE("route: weights against binary64", "[moe-route]") {
  const std::vector<float> l{0.5F, -1.25F, 3.0F, 2.0F};
  const double e[] = {std::exp(0.5), std::exp(-1.25), std::exp(3.0), std::exp(2.0)};
  const auto s = [](double x) { return 1 / (1 + std::exp(-x)); };
  const double all = e[0] + e[1] + e[2] + e[3];
  CHECK(near(route(RouteMethod::softmax, 2, l).weights[0], e[2] / all));
  CHECK(near(route(RouteMethod::softmax, 2, l).weights[1], e[3] / all));
  CHECK(near(route(RouteMethod::renormalize, 2, l).weights[1], e[3] / (e[2] + e[3])));
  CHECK(near(route(RouteMethod::sigmoid, 3, l).weights[2], s(0.5)));
  CHECK(near(route(RouteMethod::sigmoid_renorm, 2, l).weights[0], s(3) / (s(3) + s(2))));
  CHECK(near(route(RouteMethod::llama4, 1, l).weights[0], s(3)));
  CHECK(route(RouteMethod::raw, 3, l).ids == Ids{2, 3, 0});
  CHECK(route(RouteMethod::raw, 3, l).weights == std::vector<float>{3.0F, 2.0F, 0.5F});
  const auto deep = route(RouteMethod::deepseek, 2, l, {0, 9, 0, 0}, 2, 2);
  CHECK(deep.ids == Ids{1, 2});                                      // the bias chooses
  CHECK(near(deep.weights[0], 2.5 * s(-1.25) / (s(-1.25) + s(3))));  // and does not weigh
}

TEST_CASE("route: groups by their two best, masked ones never", "[moe-route]") {
  // s + bias is negative everywhere: what is left out must not count as 0.
  const std::vector<float> l{0, 0, 0, 0, 0, 0, 0, 0};
  const std::vector<float> bias{-9, -9, -2, -8, -4, -4, -3, -9};
  // Sums of two: -18, -10, -8, -12 (and 1 for the sigmoids).
  CHECK(route(RouteMethod::deepseek, 2, l, bias, 4, 1).ids == Ids{4, 5});
  CHECK(route(RouteMethod::deepseek, 3, l, bias, 4, 2).ids == Ids{2, 4, 5});
  CHECK(route(RouteMethod::deepseek, 4, l, bias, 4, 2).ids == Ids{2, 4, 5, 3});
  CHECK(route(RouteMethod::deepseek, 2, l, {}, 4, 2).ids == Ids{0, 1});
}
