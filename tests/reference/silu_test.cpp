#include "reference/silu.hpp"

#include <cmath>
#include <limits>

#include "tests/support/catch.hpp"

using fourge::reference::ElementType;
using fourge::reference::exp2_exact_mode;
using fourge::reference::sigmoid_exact_mode;
using fourge::reference::silu;

namespace {

double ulps(float found, double expected) {
  const float nearest = static_cast<float>(expected);
  const double ulp = std::nextafter(nearest, std::numeric_limits<float>::infinity()) - nearest;
  return std::fabs(found - expected) / ulp;
}

}  // namespace

TEST_CASE("the exponential of exact mode is within one unit in the last place", "[silu]") {
  double worst = 0;
  for (float z = -125.9F; z < 127.9F; z += 0.00173F) {
    worst = std::fmax(worst, ulps(exp2_exact_mode(z), std::exp2(static_cast<double>(z))));
  }
  CHECK(worst < 1.0);
  CHECK(worst > 0.3);  // the measurement measures
  for (int n = -126; n <= 127; ++n) {
    CHECK(exp2_exact_mode(static_cast<float>(n)) == std::ldexp(1.0F, n));
  }
  CHECK(exp2_exact_mode(128.0F) == std::numeric_limits<float>::infinity());
  CHECK(exp2_exact_mode(1e30F) == std::numeric_limits<float>::infinity());
  CHECK(exp2_exact_mode(-127.0F) == 0.0F);
  CHECK(exp2_exact_mode(-1e30F) == 0.0F);
}

TEST_CASE("silu", "[silu]") {
  for (float g = -80.0F; g < 80.0F; g += 0.0371F) {
    const double exact = static_cast<double>(g) / (1.0 + std::exp(-static_cast<double>(g)));
    // That log2(e) is a float costs up to a third of |g| units in the exponential.
    CHECK(ulps(silu(g), exact) < 4.0 + 0.4 * std::fabs(static_cast<double>(g)));
  }
  CHECK(silu(0.0F) == 0.0F);
  CHECK(std::signbit(silu(-0.0F)));
  CHECK(silu(200.0F) == 200.0F);
  CHECK(silu(-200.0F) == 0.0F);
  CHECK(std::isnan(silu(std::nanf(""))));
  CHECK(silu(std::numeric_limits<float>::infinity()) == std::numeric_limits<float>::infinity());
}

TEST_CASE("sigmoid of exact mode", "[silu]") {
  double worst = 0;
  for (float t = -20.0F; t < 20.0F; t += 0.00117F) {
    worst = std::fmax(worst,
                      ulps(sigmoid_exact_mode(t), 1.0 / (1.0 + std::exp(-static_cast<double>(t)))));
  }
  CHECK(worst < 8.0);
  CHECK(worst > 0.5);  // the measurement measures
  CHECK(sigmoid_exact_mode(0.0F) == 0.5F);
  CHECK(sigmoid_exact_mode(18.0F) == 1.0F);
  CHECK(sigmoid_exact_mode(1e30F) == 1.0F);
  CHECK(sigmoid_exact_mode(-1e30F) == 0.0F);
  CHECK(sigmoid_exact_mode(std::nanf("")) == 1.0F);
}

TEST_CASE("silu-and-multiply rounds to the type of its input", "[silu]") {
  using fourge::reference::float_to_bf16;
  using fourge::reference::float_to_f16;
  const std::vector<std::uint16_t> gate{float_to_f16(3.0F), float_to_f16(60000.0F)};
  const std::vector<std::uint16_t> linear{float_to_f16(0.5F), float_to_f16(2.0F)};
  const auto y = fourge::reference::silu_and_mul(gate, linear, ElementType::f16);
  CHECK(y[0] == float_to_f16(silu(3.0F) * 0.5F));
  CHECK(y[1] == 0x7C00);  // no saturation
  const std::vector<std::uint16_t> one{float_to_bf16(1.0F)};
  CHECK(fourge::reference::silu_and_mul(one, one, ElementType::bf16)[0] ==
        float_to_bf16(0.7310586F));
}
