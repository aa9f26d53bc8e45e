// Pairs of 16-bit floats in one 32-bit word; the element with the lower index is in the low half.
#pragma once

#include "device/float_math.cuh"

namespace fourge_device {

template <ElementType kType>
struct Packed16;

template <>
struct Packed16<ElementType::bf16> {
  static constexpr uint32 kInfinity = 0x7F80u;

  static FOURGE_INLINE float low(uint32 pair) { return float_from_bits(pair << 16); }
  static FOURGE_INLINE float high(uint32 pair) { return float_from_bits(pair & 0xFFFF0000u); }
#if !defined(FOURGE_HOST_EXECUTION)
  // Maximum of magnitudes, halves apart; a NaN wins.
  static FOURGE_INLINE uint32 max_abs_nan(uint32 a, uint32 b) {
    uint32 r;
    asm("{.reg .b32 t, u; abs.bf16x2 t, %1; abs.bf16x2 u, %2; max.NaN.bf16x2 %0, t, u;}"
        : "=r"(r)
        : "r"(a), "r"(b));
    return r;
  }
#endif
};

template <>
struct Packed16<ElementType::f16> {
  static constexpr uint32 kInfinity = 0x7C00u;

  static FOURGE_INLINE float low(uint32 pair) { return half_to_float(static_cast<uint16>(pair)); }
  static FOURGE_INLINE float high(uint32 pair) {
    return half_to_float(static_cast<uint16>(pair >> 16));
  }
#if !defined(FOURGE_HOST_EXECUTION)
  static FOURGE_INLINE uint32 max_abs_nan(uint32 a, uint32 b) {
    uint32 r;
    asm("{.reg .b32 t, u; abs.f16x2 t, %1; abs.f16x2 u, %2; max.NaN.f16x2 %0, t, u;}"
        : "=r"(r)
        : "r"(a), "r"(b));
    return r;
  }
#endif
};

// Magnitudes of 16-bit floats order as integers, and a NaN is above infinity.
FOURGE_INLINE uint32 max_u32(uint32 a, uint32 b) { return a > b ? a : b; }

// Largest magnitude of 16 elements as its 16 bits; above kInfinity if any element is a NaN.
template <ElementType kType>
FOURGE_INLINE uint32 block_max_bits(const uint32 (&w)[8]) {
#if defined(FOURGE_HOST_EXECUTION)
  uint32 m = 0;
  for (int i = 0; i < 8; ++i) {
    m = max_u32(m, max_u32(w[i] & 0x7FFFu, (w[i] >> 16) & 0x7FFFu));
  }
  return m;
#else
  using P = Packed16<kType>;
  const uint32 a = P::max_abs_nan(P::max_abs_nan(w[0], w[1]), P::max_abs_nan(w[2], w[3]));
  const uint32 b = P::max_abs_nan(P::max_abs_nan(w[4], w[5]), P::max_abs_nan(w[6], w[7]));
  const uint32 m = P::max_abs_nan(a, b);
  return max_u32(m & 0xFFFFu, m >> 16);
#endif
}

// The same with NaNs skipped; 0 if there is nothing else. Rarely called, so written for few
// instructions and not for speed.
template <ElementType kType>
FOURGE_INLINE uint32 block_max_bits_skip_nan(const uint32 (&w)[8]) {
  uint32 m = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const uint32 lo = w[i] & 0x7FFFu;
    const uint32 hi = (w[i] >> 16) & 0x7FFFu;
    m = lo <= Packed16<kType>::kInfinity ? max_u32(m, lo) : m;
    m = hi <= Packed16<kType>::kInfinity ? max_u32(m, hi) : m;
  }
  return m;
}

// A 16-bit float's value from its bits.
template <ElementType kType>
FOURGE_INLINE float value_of_bits(uint32 bits) {
  return Packed16<kType>::low(bits);
}

}  // namespace fourge_device
