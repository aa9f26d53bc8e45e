// The number formats of NVFP4 and their conversions to and from binary32, by definition.
// Conversions never flush subnormals: only arithmetic does (ftz.hpp). Assumes the default rounding
// mode (to nearest, ties to even). All functions are pure.
#pragma once

#include <cstdint>

namespace fourge::reference {

enum class ElementType { bf16, f16 };

const char* to_string(ElementType type) noexcept;  // "bf16", "f16"

// Exact. A NaN keeps its sign and payload bits.
float bf16_to_float(std::uint16_t bits) noexcept;
float f16_to_float(std::uint16_t bits) noexcept;
float to_float(ElementType type, std::uint16_t bits) noexcept;

// Round to nearest, ties to even; too large becomes infinity; NaN becomes a quiet NaN of its sign.
std::uint16_t float_to_bf16(float value) noexcept;
std::uint16_t float_to_f16(float value) noexcept;
std::uint16_t from_float(ElementType type, float value) noexcept;

// E2M1: sign, two exponent bits, one mantissa bit; magnitudes 0, 0.5, 1, 1.5, 2, 3, 4, 6; no Inf,
// no NaN. Encoding rounds to nearest (ties to the even code) and saturates. The sign is kept, also
// of a value that rounds to zero. NaN of either sign becomes +6 (code 7). The code is in the low 4
// bits.
std::uint8_t encode_e2m1(float value) noexcept;
float decode_e2m1(std::uint8_t code) noexcept;  // looks at the low 4 bits only

// E4M3: bias 7, largest value 448 = 0x7E, no Inf, NaN = 0x7F and 0xFF. Encoding rounds to nearest
// (ties to even) and saturates, Inf included. NaN of either sign becomes 0x7F.
std::uint8_t encode_e4m3(float value) noexcept;
float decode_e4m3(std::uint8_t byte) noexcept;

}  // namespace fourge::reference
