#include "reference/moe_activation.hpp"

#include <cmath>
#include <limits>

#include "reference/silu.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::reference;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

double ulps(float found, double expected) {
  const float nearest = std::fabs(static_cast<float>(expected));
  const double ulp = std::nextafter(nearest, kInfinity) - nearest;
  return std::fabs(static_cast<double>(found) - expected) / ulp;
}

double exact_gelu(double g) { return 0.5 * g * std::erfc(-g * std::sqrt(0.5)); }

}  // namespace

TEST_CASE("erf of exact mode is within two units in the last place", "[moe-activation]") {
  double worst = 0;
  for (float x = 1e-6F; x < 6.0F; x += 0.000037F) {
    worst = std::fmax(worst, ulps(erf_exact_mode(x), std::erf(static_cast<double>(x))));
    CHECK(erf_exact_mode(-x) == -erf_exact_mode(x));
  }
  CHECK(worst < 2.0);
  CHECK(worst > 0.4);  // the measurement measures
  CHECK(erf_exact_mode(0.0F) == 0.0F);
  CHECK(std::signbit(erf_exact_mode(-0.0F)));
  CHECK(erf_exact_mode(kInfinity) == 1.0F);
  CHECK(erf_exact_mode(-kInfinity) == -1.0F);
}

TEST_CASE("gelu in both forms", "[moe-activation]") {
  for (float g = -12.0F; g < 12.0F; g += 0.00371F) {
    const double x = static_cast<double>(g);
    // 1 + erf cancels for negative g: an error of some units of 1, times g.
    CHECK(std::fabs(static_cast<double>(gelu_erf(g)) - exact_gelu(x)) <
          2.5e-7 * std::fabs(x) + 1e-12);
    const double u = std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x);
    const double with_tanh = x / (1 + std::exp(-2 * u));
    if (std::exp(2 * u) > 1.2e-38) {  // otherwise the sigmoid is flushed
      CHECK(ulps(gelu_tanh(g), with_tanh) < 4.0 + 6.0 * std::fabs(u));
    }
  }
  CHECK(gelu_erf(kInfinity) == kInfinity);
  CHECK(gelu_tanh(kInfinity) == kInfinity);
  CHECK(std::isnan(gelu_erf(std::nanf(""))));
  CHECK(std::isnan(gelu_tanh(std::nanf(""))));
  CHECK(gelu_tanh(-30.0F) == 0.0F);
}

TEST_CASE("each activation", "[moe-activation]") {
  const auto value = [](ActivationKind kind, float g, float l) {
    ActivationForm form;
    form.kind = kind;
    return activate(g, l, form);
  };
  CHECK(value(ActivationKind::swiglu, 1.5F, 2.0F) == silu(1.5F) * 2.0F);
  CHECK(value(ActivationKind::geglu, 1.5F, 2.0F) == gelu_erf(1.5F) * 2.0F);
  CHECK(value(ActivationKind::geglu_tanh, 1.5F, 2.0F) == gelu_tanh(1.5F) * 2.0F);
  CHECK(value(ActivationKind::relu2, 1.5F, 9.0F) == 2.25F);
  CHECK(value(ActivationKind::relu2, -1.5F, 9.0F) == 0.0F);
  CHECK(std::isnan(value(ActivationKind::relu2, std::nanf(""), 0)));
  CHECK(value(ActivationKind::silu, 1.5F, 9.0F) == silu(1.5F));
  CHECK(value(ActivationKind::gelu, 1.5F, 9.0F) == gelu_erf(1.5F));
  CHECK(value(ActivationKind::identity, 1.5F, 9.0F) == 1.5F);
  // Beyond the limit neither half counts for more.
  CHECK(value(ActivationKind::clamped, 8.0F, 50.0F) == value(ActivationKind::clamped, 7.0F, 7.0F));
  CHECK(value(ActivationKind::clamped, 2.0F, -50.0F) ==
        value(ActivationKind::clamped, 2.0F, -7.0F));
  CHECK(value(ActivationKind::clamped, -8.0F, 1.0F) != value(ActivationKind::clamped, -7.0F, 1.0F));
}

TEST_CASE("a row's halves and bias", "[moe-activation]") {
  const auto b = [](float v) { return float_to_bf16(v); };
  const std::vector<std::uint16_t> x{b(1.0F), b(2.0F), b(3.0F), b(4.0F)};
  const std::vector<std::uint16_t> bias{b(0.5F), b(0.0F), b(-1.0F), b(0.0F)};
  ActivationForm form;
  form.rounded = false;
  const auto linear_first = activate_row(x, bias, ElementType::bf16, form);
  CHECK(linear_first == std::vector<float>{silu(2.0F) * 1.5F, silu(4.0F) * 2.0F});
  form.gate_first = true;
  const auto gate_first = activate_row(x, {}, ElementType::bf16, form);
  CHECK(gate_first == std::vector<float>{silu(1.0F) * 3.0F, silu(2.0F) * 4.0F});
  form.rounded = true;
  CHECK(activate_row(x, {}, ElementType::bf16, form)[0] ==
        bf16_to_float(float_to_bf16(silu(1.0F) * 3.0F)));
  form.kind = ActivationKind::relu2;
  CHECK(activate_row(x, {}, ElementType::bf16, form).size() == 4);
}
