// Binary32 arithmetic with flush-to-zero, spelt out: a subnormal operand is read as zero of its
// sign, the operation is rounded to nearest, a subnormal result becomes zero of its sign. Nothing
// depends on compiler flags or on the processor's mode, as long as products and sums are not
// contracted.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace fourge::reference::ftz {

inline constexpr float kMax = std::numeric_limits<float>::max();

inline float flush(float value) noexcept {
  if (std::fabs(value) < std::numeric_limits<float>::min()) {  // the smallest normal, 2^-126
    return std::copysign(0.0F, value);
  }
  return value;  // NaN too
}

inline float mul(float a, float b) noexcept { return flush(flush(a) * flush(b)); }
inline float add(float a, float b) noexcept { return flush(flush(a) + flush(b)); }
inline float sub(float a, float b) noexcept { return flush(flush(a) - flush(b)); }

// A zero divisor, flushed or given, makes an infinity, or NaN of 0/0.
inline float div(float a, float b) noexcept { return flush(flush(a) / flush(b)); }
inline float rcp(float value) noexcept { return div(1.0F, value); }

// The smaller one; of a NaN and a number, the number.
inline float min(float a, float b) noexcept { return flush(std::fmin(flush(a), flush(b))); }

inline bool is_zero(float value) noexcept { return flush(value) == 0.0F; }

}  // namespace fourge::reference::ftz
