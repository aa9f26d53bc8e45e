#include "reference/near_tie.hpp"

#include <algorithm>
#include <cmath>

#include "reference/formats.hpp"
#include "reference/ftz.hpp"

namespace fourge::reference {

bool near_tie(float element, float multiplier, unsigned expected, unsigned found) noexcept {
  const bool same_sign = (expected & 8U) == (found & 8U);
  const unsigned low = std::min(expected & 7U, found & 7U);
  const unsigned high = std::max(expected & 7U, found & 7U);
  if (!same_sign || high != low + 1) {
    return false;
  }
  // At most 11 and 24 significant bits: the product is exact in double.
  const double product = std::fabs(static_cast<double>(ftz::flush(element)) *
                                   static_cast<double>(ftz::flush(multiplier)));
  const double tie = (static_cast<double>(decode_e2m1(static_cast<std::uint8_t>(low))) +
                      static_cast<double>(decode_e2m1(static_cast<std::uint8_t>(high)))) /
                     2;
  const double unit = std::ldexp(1.0, std::ilogb(tie) - 23);
  return std::fabs(product - tie) <= 4 * unit;  // false for NaN
}

}  // namespace fourge::reference
