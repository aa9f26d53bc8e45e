#include "reference/silu.hpp"

#include <bit>
#include <cmath>

#include "reference/ftz.hpp"

namespace fourge::reference {
namespace {

float fma(float a, float b, float c) {
  return ftz::flush(std::fma(ftz::flush(a), ftz::flush(b), ftz::flush(c)));
}

float power_of_two(int n) { return static_cast<float>(std::ldexp(1.0, n)); }

}  // namespace

float exp2_exact_mode(float z) noexcept {
  // Coefficients of a minimax polynomial of 2^f on [-1/2, 1/2], constant term first.
  constexpr std::uint32_t kCoefficients[7] = {0x3F800000, 0x3F317218, 0x3E75FDF0, 0x3D635766,
                                              0x3C1D94EC, 0x3AAFA464, 0x3922363F};
  if (std::isnan(z)) {
    return 0.0F;
  }
  const float bounded = std::fmin(std::fmax(ftz::flush(z), -200.0F), 200.0F);
  const float n = std::nearbyint(bounded);  // ties to even
  const float f = bounded - n;              // exact
  float p = std::bit_cast<float>(kCoefficients[6]);
  for (int i = 5; i >= 0; --i) {
    p = fma(p, f, std::bit_cast<float>(kCoefficients[i]));
  }
  const int exponent = static_cast<int>(n);
  const int half = static_cast<int>(std::floor(exponent / 2.0));
  return ftz::mul(ftz::mul(p, power_of_two(half)), power_of_two(exponent - half));
}

float sigmoid_exact_mode(float t) noexcept {
  constexpr float kMinusLog2E = -1.44269502F;  // 0xBFB8AA3B
  static_assert(std::bit_cast<std::uint32_t>(kMinusLog2E) == 0xBFB8AA3B);
  // Of a polynomial of 2^f near [-1/2, 1/2], constant term first.
  constexpr std::uint32_t kCoefficients[6] = {0x3F800000, 0x3F317215, 0x3E75FCE1,
                                              0x3D635B6C, 0x3C1E7458, 0x3AADED3D};
  if (std::isnan(t)) {
    return 1.0F;
  }
  const float bounded = std::fmin(std::fmax(ftz::flush(t), -128.0F), 128.0F);
  // The product has 48 bits, so its nearest integer (ties to even) is exact in binary64, and the last
  // float below is the one rounding of t * -log2 e - n.
  const double z = static_cast<double>(bounded) * static_cast<double>(kMinusLog2E);
  const double n = std::nearbyint(z);
  const float f = ftz::flush(static_cast<float>(z - n));
  float p = std::bit_cast<float>(kCoefficients[5]);
  for (int i = 4; i >= 0; --i) {
    p = fma(p, f, std::bit_cast<float>(kCoefficients[i]));
  }
  const int exponent = static_cast<int>(n);
  const int half = static_cast<int>(std::floor(exponent / 2.0));
  const float e = ftz::mul(ftz::mul(p, power_of_two(half)), power_of_two(exponent - half));
  return ftz::div(1.0F, ftz::add(1.0F, e));
}

float silu(float g) noexcept { return swish(g, g); }

float swish(float g, float t) noexcept { return ftz::mul(g, sigmoid_exact_mode(t)); }

std::vector<std::uint16_t> silu_and_mul(std::span<const std::uint16_t> gate,
                                        std::span<const std::uint16_t> linear, ElementType type) {
  std::vector<std::uint16_t> result(gate.size());
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const float y = ftz::mul(silu(to_float(type, gate[i])), to_float(type, linear[i]));
    result[i] = from_float(type, y);
  }
  return result;
}

}  // namespace fourge::reference
