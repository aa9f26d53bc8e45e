#include "reference/formats.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace fourge::reference {
namespace {

constexpr std::uint32_t kSignBit = 0x8000'0000U;
constexpr std::uint32_t kMagnitudeBits = 0x7FFF'FFFFU;

bool sign_of(float value) { return (std::bit_cast<std::uint32_t>(value) & kSignBit) != 0; }

float magnitude_of(float value) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) & kMagnitudeBits);
}

// Codes of a small binary format ascend with the magnitudes they stand for, and one step of the
// code is one unit in the last place. So the code is the number of units below the binade of
// exponent e, plus the magnitude in units of that binade, rounded; a carry into the next binade
// needs no care. Magnitudes below the smallest normal share the binade of min_exponent.
std::uint32_t round_to_code(float magnitude, int mantissa_bits, int min_exponent) {
  if (magnitude == 0.0F) {
    return 0;
  }
  const int exponent = std::max(std::ilogb(magnitude), min_exponent);
  const float units = std::nearbyint(std::ldexp(magnitude, mantissa_bits - exponent));
  const auto binades_below = static_cast<std::uint32_t>(exponent - min_exponent);
  return (binades_below << mantissa_bits) + static_cast<std::uint32_t>(units);
}

}  // namespace

const char* to_string(ElementType type) noexcept {
  return type == ElementType::bf16 ? "bf16" : "f16";
}

float bf16_to_float(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

float f16_to_float(std::uint16_t bits) noexcept {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1FU;
  const std::uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  const std::uint32_t wide_exponent = exponent == 0x1FU ? 0xFFU : exponent - 15U + 127U;
  return std::bit_cast<float>(sign | (wide_exponent << 23) | (mantissa << 13));
}

float to_float(ElementType type, std::uint16_t bits) noexcept {
  return type == ElementType::bf16 ? bf16_to_float(bits) : f16_to_float(bits);
}

std::uint16_t float_to_bf16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t upper = bits >> 16;
  if (std::isnan(value)) {
    return static_cast<std::uint16_t>(upper | 0x40U);
  }
  const std::uint32_t dropped = bits & 0xFFFFU;
  const bool up = dropped > 0x8000U || (dropped == 0x8000U && (upper & 1U) != 0);
  return static_cast<std::uint16_t>(upper + (up ? 1U : 0U));  // carries as far as infinity
}

std::uint16_t float_to_f16(float value) noexcept {
  const std::uint32_t sign = sign_of(value) ? 0x8000U : 0U;
  if (std::isnan(value)) {
    return static_cast<std::uint16_t>(sign | 0x7E00U);
  }
  const float magnitude = magnitude_of(value);
  constexpr float kOverflow = 65520.0F;  // half a unit above the largest finite value, 65504
  const std::uint32_t code = magnitude >= kOverflow ? 0x7C00U : round_to_code(magnitude, 10, -14);
  return static_cast<std::uint16_t>(sign | code);
}

std::uint16_t from_float(ElementType type, float value) noexcept {
  return type == ElementType::bf16 ? float_to_bf16(value) : float_to_f16(value);
}

std::uint8_t encode_e2m1(float value) noexcept {
  if (std::isnan(value)) {
    return 0x7;
  }
  // Each threshold is halfway between two magnitudes; a tie goes to the even code of the two.
  const float magnitude = magnitude_of(value);
  const int code = static_cast<int>(magnitude > 0.25F) + static_cast<int>(magnitude >= 0.75F) +
                   static_cast<int>(magnitude > 1.25F) + static_cast<int>(magnitude >= 1.75F) +
                   static_cast<int>(magnitude > 2.5F) + static_cast<int>(magnitude >= 3.5F) +
                   static_cast<int>(magnitude > 5.0F);
  return static_cast<std::uint8_t>(code + (sign_of(value) ? 8 : 0));
}

float decode_e2m1(std::uint8_t code) noexcept {
  constexpr float kMagnitudes[8] = {0.0F, 0.5F, 1.0F, 1.5F, 2.0F, 3.0F, 4.0F, 6.0F};
  const float magnitude = kMagnitudes[code & 7U];
  return (code & 8U) != 0 ? -magnitude : magnitude;
}

std::uint8_t encode_e4m3(float value) noexcept {
  if (std::isnan(value)) {
    return 0x7F;
  }
  const std::uint32_t sign = sign_of(value) ? 0x80U : 0U;
  const float magnitude = magnitude_of(value);
  const std::uint32_t code = magnitude > 448.0F ? 0x7EU : round_to_code(magnitude, 3, -6);
  return static_cast<std::uint8_t>(sign | code);
}

float decode_e4m3(std::uint8_t byte) noexcept {
  const int exponent = (byte >> 3) & 0xF;
  const int mantissa = byte & 0x7;
  if (exponent == 15 && mantissa == 7) {
    return std::numeric_limits<float>::quiet_NaN();
  }
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return (byte & 0x80U) != 0 ? -magnitude : magnitude;
}

}  // namespace fourge::reference
