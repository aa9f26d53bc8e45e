// What the ways of 4over6 mean.
#pragma once

#include "device/float_math.cuh"

namespace fourge_device {

FOURGE_INLINE constexpr bool uses_squares(FourOverSix choice) {
  return choice == FourOverSix::mse448 || choice == FourOverSix::mse256 ||
         choice == FourOverSix::mse448fast || choice == FourOverSix::mse256fast;
}
FOURGE_INLINE constexpr bool uses_256(FourOverSix choice) {
  return choice == FourOverSix::mae256 || choice == FourOverSix::mse256 ||
         choice == FourOverSix::mae256fast || choice == FourOverSix::mse256fast;
}
FOURGE_INLINE constexpr bool uses_fast_error(FourOverSix choice) {
  return choice == FourOverSix::mae448fast || choice == FourOverSix::mse448fast ||
         choice == FourOverSix::mae256fast || choice == FourOverSix::mse256fast;
}

// Config::kFourOverSix(), or off for an op without that axis.
template <class Config, class = int>
constexpr FourOverSix kFourOverSixOf = FourOverSix::off;
template <class Config>
constexpr FourOverSix kFourOverSixOf<Config, decltype(static_cast<int>(Config::kFourOverSix()))> =
    Config::kFourOverSix();

// Whether a value is decoded by row maximum / divisor, for its error.
template <class Config, bool kOwnRow>
constexpr bool kRowError = kOwnRow&& kFourOverSixOf<Config> != FourOverSix::off &&
                           !uses_fast_error(kFourOverSixOf<Config>);
FOURGE_INLINE constexpr float row_error_divisor(FourOverSix choice) {
  return uses_256(choice) ? 1536.0f : 2688.0f;
}

}  // namespace fourge_device
