// E4M3 codes of the quotients of numbers by one divisor, the scale of their block: the codes that the
// correctly rounded quotients have, by fewer operations than a division takes.
#pragma once

#include "device/e4m3.cuh"

namespace fourge_device {

// Of a block whose largest magnitude is is_plain_maximum(): the quotient is o * (1 / scale) with the
// reciprocal as a sum of two floats, the first rounded towards zero and the second not negative, so that
// -0 stays -0. In all significands of the scale but one the quotient, as one float, lies on the same
// side of every border between two codes as the correctly rounded one does
// (tests/reference/block_quotient_test.cpp).
template <MathMode kMath>
struct PlainDivisor {
  float high;
  float low;
#if defined(FOURGE_HOST_EXECUTION)
  float scale;
#endif

  FOURGE_INLINE explicit PlainDivisor(float divisor) {
    high = rcp_rn_normal(divisor);
    low = 0.0f;
#if defined(FOURGE_HOST_EXECUTION)
    scale = divisor;
#else
    if constexpr (kMath == MathMode::exact) {
      const float nearest = high;
      if (fma_rn(-divisor, nearest, 1.0f) < 0.0f) {
        high = float_from_bits(float_bits(high) - 1);
      }
      low = __fmul_rz(fma_rn(-divisor, high, 1.0f), nearest);
    }
#endif
  }
  FOURGE_INLINE float divide(float o) const {
#if defined(FOURGE_HOST_EXECUTION)
    return kMath == MathMode::exact ? div_rn(o, scale) : mul_rn(o, high);
#else
    return kMath == MathMode::exact ? fma_rn(o, high, mul_rn(o, low)) : mul_rn(o, high);
#endif
  }
};

// Whether scale (a 448th) and reciprocal are ordinary numbers, and the scale's significand is not the
// one, 0x1.7ffffe, that PlainDivisor does not cover.
FOURGE_INLINE bool is_plain_maximum(float amax) {
  const uint32 bits = float_bits(amax);
  return bits - 0x21800000u < 0x50000000u && (bits & 0x7FFFFFu) != 0x27FFFFu;  // 2^-60 to 2^100
}

// Any positive divisor from 2^-126: the remainder corrects the product with the reciprocal, and a tiny
// divisor is scaled up with all that it divides. An infinite one makes zeros of finite numbers and NaN of
// infinities.
struct AnyDivisor {
  float up;
  float scale;
  float reciprocal;

  FOURGE_INLINE explicit AnyDivisor(float divisor) {
    up = divisor < 8.6736174e-19f ? 18446744073709551616.0f : 1.0f;  // 2^-60, 2^64
    const bool infinite = divisor > kFloatMax();
    scale = infinite ? 0.0f : mul_rn(divisor, up);
    reciprocal = infinite ? 0.0f : rcp_rn_normal(scale);
  }
  FOURGE_INLINE float divide(float o) const {
    o = mul_rn(o, up);
    const float q = mul_rn(o, reciprocal);
    // The remainder's sign is such that -0 stays -0.
    return fma_rn(fma_rn(q, scale, -o), -reciprocal, q);
  }
};

template <class Config, int kWords, class Divisor>
FOURGE_INLINE void encode_quotients(const float (&o)[4 * kWords], const Divisor& divisor,
                                    uint32 (&codes)[kWords]) {
#pragma unroll
  for (int k = 0; k < kWords; ++k) {
    const float* v = o + 4 * k;
    codes[k] = encode_e4m3_pair<Config>(divisor.divide(v[0]), divisor.divide(v[1])) |
               (encode_e4m3_pair<Config>(divisor.divide(v[2]), divisor.divide(v[3])) << 16);
  }
}

}  // namespace fourge_device
