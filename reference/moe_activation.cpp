#include "reference/moe_activation.hpp"

#include <bit>
#include <cmath>

#include "reference/ftz.hpp"
#include "reference/moe_swiglu.hpp"
#include "reference/silu.hpp"

namespace fourge::reference {
namespace {

float fma(float a, float b, float c) {
  return ftz::flush(std::fma(ftz::flush(a), ftz::flush(b), ftz::flush(c)));
}

float polynomial(float x, std::span<const std::uint32_t> coefficients) {
  float p = std::bit_cast<float>(coefficients.back());
  for (std::size_t i = coefficients.size() - 1; i-- > 0;) {
    p = fma(p, x, std::bit_cast<float>(coefficients[i]));
  }
  return p;
}

}  // namespace

bool is_gated(ActivationKind kind) noexcept {
  return kind == ActivationKind::swiglu || kind == ActivationKind::geglu ||
         kind == ActivationKind::geglu_tanh || kind == ActivationKind::clamped;
}

float erf_exact_mode(float x) noexcept {
  // Constant terms first: of erf(x) / x - 1 in x^2, and of log2(1 - erf(x)).
  constexpr std::uint32_t kNear[] = {0x3E0375D3, 0xBEC0937E, 0x3DE70EFF,
                                     0xBCDB5FD7, 0x3BA43935, 0xBA1F8E1B};
  constexpr std::uint32_t kFar[] = {0x3979A12B, 0xBFD092BD, 0xBF69F2F7, 0xBE1FCF1E,
                                    0x3D1408DF, 0xBBC3F4B2, 0x3A224781, 0xB7F9AA43};
  const float t = ftz::min(std::fabs(x), 4.0F);
  const float result = t < 0.9F ? fma(polynomial(ftz::mul(t, t), kNear), t, t)
                                : ftz::sub(1.0F, exp2_exact_mode(polynomial(t, kFar)));
  return std::copysign(result, x);
}

float gelu_erf(float g) noexcept {
  constexpr float kRootHalf = std::bit_cast<float>(0x3F3504F3U);
  return ftz::mul(ftz::mul(0.5F, g), ftz::add(1.0F, erf_exact_mode(ftz::mul(g, kRootHalf))));
}

float gelu_tanh(float g) noexcept {
  constexpr float kTwoRoot = std::bit_cast<float>(0x3FCC422AU);  // 2 sqrt(2 / pi)
  constexpr float kCubic = std::bit_cast<float>(0x3D922279U);    // times 0.044715
  const float t = ftz::mul(g, fma(ftz::mul(g, g), kCubic, kTwoRoot));
  return swish(g, t);
}

float activate(float gate, float linear, const ActivationForm& form) noexcept {
  switch (form.kind) {
    case ActivationKind::swiglu:
      return ftz::mul(silu(gate), linear);
    case ActivationKind::geglu:
      return ftz::mul(gelu_erf(gate), linear);
    case ActivationKind::geglu_tanh:
      return ftz::mul(gelu_tanh(gate), linear);
    case ActivationKind::clamped:
      return swiglu(linear, gate, {true, false, form.limit, form.alpha, form.beta});
    case ActivationKind::relu2: {
      const float positive = std::isnan(gate) || gate > 0 ? gate : 0.0F;
      return ftz::mul(positive, positive);
    }
    case ActivationKind::silu:
      return silu(gate);
    case ActivationKind::gelu:
      return gelu_erf(gate);
    case ActivationKind::identity:
      break;
  }
  return gate;
}

std::vector<float> activate_row(std::span<const std::uint16_t> x,
                                std::span<const std::uint16_t> bias, ElementType type,
                                const ActivationForm& form) {
  const bool gated = is_gated(form.kind);
  const std::size_t cols = gated ? x.size() / 2 : x.size();
  const std::size_t gate = gated && !form.gate_first ? cols : 0;
  const std::size_t linear = gated && form.gate_first ? cols : 0;
  const auto value = [&](std::size_t i) {
    const float v = to_float(type, x[i]);
    return bias.empty() ? v : ftz::add(v, to_float(type, bias[i]));
  };
  std::vector<float> y(cols);
  for (std::size_t i = 0; i < cols; ++i) {
    y[i] = activate(value(gate + i), gated ? value(linear + i) : 0.0F, form);
    if (form.rounded) {
      y[i] = std::isnan(y[i]) ? to_float(type, 0x7FFF) : to_float(type, from_float(type, y[i]));
    }
  }
  return y;
}

}  // namespace fourge::reference
