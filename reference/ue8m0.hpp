// UE8M0, the scale format of MXFP4 and MXFP8: the power of two 2^(code - 127) for codes 0 to 254; 255
// is NaN. No sign, no zero.
#pragma once

#include <cstdint>

namespace fourge::reference {

// The smallest code whose value is not below this one: rounds up. Everything up to 2^-127, zero
// included, is 0; what is too large, infinity included, is 254. Does not flush subnormals. The value
// must not be negative.
std::uint8_t encode_ue8m0(float value) noexcept;
// Exact: 2^-127, which is subnormal, for 0.
float decode_ue8m0(std::uint8_t code) noexcept;

}  // namespace fourge::reference
