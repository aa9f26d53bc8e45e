// Pairs of 16-bit floats in one 32-bit word; the element with the lower index is in the low half.
#pragma once

#include "device/float_math.cuh"

namespace fourge_device {

template <ElementType kType>
struct Packed16;

template <>
struct Packed16<ElementType::bf16> {
  enum : uint32 { kInfinity = 0x7F80u };

  static FOURGE_INLINE float low(uint32 pair) { return float_from_bits(pair << 16); }
  static FOURGE_INLINE float high(uint32 pair) { return float_from_bits(pair & 0xFFFF0000u); }
#if !defined(FOURGE_HOST_EXECUTION)
  // Maximum of magnitudes, halves apart; a NaN wins. The result may have a sign.
  static FOURGE_INLINE uint32 max_abs_nan(uint32 a, uint32 b) {
    uint32 r;
#if __CUDA_ARCH__ >= 860
    asm("max.NaN.xorsign.abs.bf16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
#else
    asm("{.reg .b32 t, u; abs.bf16x2 t, %1; abs.bf16x2 u, %2; max.NaN.bf16x2 %0, t, u;}"
        : "=r"(r)
        : "r"(a), "r"(b));
#endif
    return r;
  }
#endif
};

template <>
struct Packed16<ElementType::f16> {
  enum : uint32 { kInfinity = 0x7C00u };

  static FOURGE_INLINE float low(uint32 pair) { return half_to_float(static_cast<uint16>(pair)); }
  static FOURGE_INLINE float high(uint32 pair) {
    return half_to_float(static_cast<uint16>(pair >> 16));
  }
#if !defined(FOURGE_HOST_EXECUTION)
  static FOURGE_INLINE uint32 max_abs_nan(uint32 a, uint32 b) {
    uint32 r;
#if __CUDA_ARCH__ >= 860
    asm("max.NaN.xorsign.abs.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
#else
    asm("{.reg .b32 t, u; abs.f16x2 t, %1; abs.f16x2 u, %2; max.NaN.f16x2 %0, t, u;}"
        : "=r"(r)
        : "r"(a), "r"(b));
#endif
    return r;
  }
#endif
};

// Magnitudes of 16-bit floats order as integers, and a NaN is above infinity.
FOURGE_INLINE uint32 max_u32(uint32 a, uint32 b) { return a > b ? a : b; }

// Magnitudes of two pairs, the larger in each half; a NaN wins.
template <ElementType kType>
FOURGE_INLINE uint32 max_packed(uint32 a, uint32 b) {
#if defined(FOURGE_HOST_EXECUTION)
  return max_u32(a & 0x7FFFu, b & 0x7FFFu) | max_u32(a & 0x7FFF0000u, b & 0x7FFF0000u);
#else
  return Packed16<kType>::max_abs_nan(a, b);
#endif
}

// The larger magnitudes of 16 elements, halves apart and with any signs; a NaN wins in its half.
template <ElementType kType>
FOURGE_INLINE uint32 block_max_packed(const uint32 (&w)[8]) {
  const uint32 a = max_packed<kType>(max_packed<kType>(w[0], w[1]), max_packed<kType>(w[2], w[3]));
  const uint32 b = max_packed<kType>(max_packed<kType>(w[4], w[5]), max_packed<kType>(w[6], w[7]));
  return max_packed<kType>(a, b);
}

// Largest magnitude of a packed maximum as its 16 bits; above kInfinity if there is a NaN.
FOURGE_INLINE uint32 bits_of_packed(uint32 m) { return max_u32(m & 0x7FFFu, (m >> 16) & 0x7FFFu); }

// Largest magnitude of 16 elements as its 16 bits; above kInfinity if any element is a NaN.
template <ElementType kType>
FOURGE_INLINE uint32 block_max_bits(const uint32 (&w)[8]) {
  return bits_of_packed(block_max_packed<kType>(w));
}

// The same with NaNs skipped; 0 if there is nothing else. Rarely called, so rolled: the words move up to
// the first.
template <ElementType kType>
FOURGE_INLINE uint32 block_max_bits_skip_nan(const uint32 (&w)[8]) {
  uint32 rest[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    rest[i] = w[i];
  }
  uint32 m = 0;
#pragma unroll 1
  for (int i = 0; i < 8; ++i) {
    const uint32 lo = rest[0] & 0x7FFFu;
    const uint32 hi = (rest[0] >> 16) & 0x7FFFu;
    m = lo <= Packed16<kType>::kInfinity ? max_u32(m, lo) : m;
    m = hi <= Packed16<kType>::kInfinity ? max_u32(m, hi) : m;
#pragma unroll
    for (int k = 0; k < 7; ++k) {
      rest[k] = rest[k + 1];
    }
  }
  return m;
}

// A 16-bit float's value from its bits.
template <ElementType kType>
FOURGE_INLINE float value_of_bits(uint32 bits) {
  return Packed16<kType>::low(bits);
}

// The value of a packed maximum; NaN if there is one.
template <ElementType kType>
FOURGE_INLINE float value_of_packed_nan(uint32 m) {
  using P = Packed16<kType>;
  return max_nan(absolute(P::low(m)), absolute(P::high(m)));
}

}  // namespace fourge_device
