#include "reference/ue8m0.hpp"

#include <cmath>
#include <limits>

namespace fourge::reference {

std::uint8_t encode_ue8m0(float value) noexcept {
  if (std::isnan(value)) {
    return 255;
  }
  int code = 0;
  while (code < 254 && std::ldexp(1.0F, code - 127) < value) {
    ++code;
  }
  return static_cast<std::uint8_t>(code);
}

float decode_ue8m0(std::uint8_t code) noexcept {
  return code == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0F, code - 127);
}

}  // namespace fourge::reference
