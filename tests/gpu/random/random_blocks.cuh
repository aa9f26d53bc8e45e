// Random blocks from a counter: element i of block b under seed s depends on (s, b, i) alone, so any
// thread, and the host, makes the same ones. Included after slow_nvfp4.cuh.
//
// draw() is two rounds of the 64-bit finalizer of splitmix64 over seed + block * odd + i * odd. The
// kind of a block is drawn for itself (of 16):
//   0-6   about normal: the sum of four uniform numbers, times a power of two from 2^-4 to 2^3
//   7-9   exponents of their own within 2^-12 .. 2^12 of the block's, which is anywhere in 2^-20 .. 2^20
//   10-11 raw bit patterns: all exponents, subnormals, NaN, infinities
//   12    normal, with NaN, infinities and both zeros among it
//   13    quarters with a maximum of 6 or 4, times a power of two: equal and nearly equal errors of 4over6
//   14-15 ties of E2M1 under a maximum of any mantissa, and the values just beside them
#pragma once

namespace slow {

SLOW_FUNCTION unsigned long long mix(unsigned long long value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

SLOW_FUNCTION unsigned long long draw(unsigned long long seed, long long block, int i) {
  return mix(mix(seed + static_cast<unsigned long long>(block) * 0x9E3779B97F4A7C15ULL) +
             static_cast<unsigned long long>(i) * 0xD1B54A32D192ED03ULL);
}

// 2^exponent, for normal results.
SLOW_FUNCTION float power(int exponent) {
  return from_bits(static_cast<unsigned>(exponent + 127) << 23);
}

// The bits of a value, truncated; too large becomes infinity, too small a zero.
SLOW_FUNCTION unsigned truncate(float value, int type) {
  const unsigned bits = to_bits(value);
  if (type == kBf16) {
    return bits >> 16;
  }
  const unsigned sign = (bits >> 16) & 0x8000U;
  const int exponent = static_cast<int>((bits >> 23) & 255U) - 112;
  if (exponent <= 0) {
    return sign;
  }
  return exponent >= 31 ? (sign | 0x7C00U)
                        : (sign | (static_cast<unsigned>(exponent) << 10) | ((bits >> 13) & 1023U));
}

SLOW_FUNCTION float about_normal(unsigned long long random) {
  int sum = -131070;
  for (int i = 0; i < 4; ++i) {
    sum += static_cast<int>((random >> (16 * i)) & 0xFFFFULL);
  }
  return static_cast<float>(sum) * power(-15);
}

SLOW_FUNCTION unsigned special(unsigned long long random, int type) {
  const unsigned infinity = type == kBf16 ? 0x7F80U : 0x7C00U;
  const unsigned sign = static_cast<unsigned>(random & 1ULL) << 15;
  switch ((random >> 1) & 3ULL) {
    case 0ULL:
      return sign | infinity;
    case 1ULL:
      return sign | infinity | static_cast<unsigned>(1ULL + ((random >> 8) & 63ULL));
    default:
      return sign;
  }
}

// A tie of E2M1 as it lies under a block maximum, or its neighbour.
SLOW_FUNCTION unsigned near_tie(unsigned long long random, float maximum, int type) {
  const float ties[8] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f, 6.0f};
  const float value = mul(mul(maximum, div(1.0f, 6.0f)), ties[random & 7ULL]);
  const unsigned bits = truncate(value, type) + static_cast<unsigned>((random >> 3) % 3ULL);
  const unsigned lower = (bits & 0x7FFFU) == 0U ? bits : bits - 1U;
  return lower | (static_cast<unsigned>((random >> 8) & 1ULL) << 15);
}

SLOW_FUNCTION unsigned random_element(unsigned long long seed, long long block, int i, int type) {
  const unsigned long long common = draw(seed, block, 16);
  const unsigned long long random = draw(seed, block, i);
  const unsigned kind = static_cast<unsigned>(common & 15ULL);
  const bool first = static_cast<unsigned>((common >> 8) & 15ULL) == static_cast<unsigned>(i);
  const float sign = (random >> 63) != 0 ? -1.0f : 1.0f;
  if (kind < 7U) {
    return truncate(about_normal(random) * power(static_cast<int>((common >> 16) & 7ULL) - 4),
                    type);
  }
  if (kind < 10U) {
    const int exponent = static_cast<int>((common >> 16) % 41ULL) - 20 +
                         static_cast<int>((random >> 32) % 25ULL) - 12;
    const float mantissa = from_bits(0x3F800000U | static_cast<unsigned>(random & 0x7FFFFFULL));
    return truncate(sign * mantissa * power(exponent), type);
  }
  if (kind < 12U) {
    return static_cast<unsigned>(random & 0xFFFFULL);
  }
  if (kind == 12U) {
    return (random >> 60) == 0 ? special(random, type) : truncate(about_normal(random), type);
  }
  if (kind == 13U) {
    const unsigned most = (common & 4096ULL) != 0 ? 24U : 16U;
    const unsigned quarters = first ? most : static_cast<unsigned>((random >> 8) % (most + 1ULL));
    const int exponent = static_cast<int>((common >> 16) % 3ULL) - 3;
    return truncate(sign * static_cast<float>(quarters) * power(exponent), type);
  }
  const float mantissa =
      from_bits(0x3F800000U | static_cast<unsigned>((common >> 20) & 0x7FFFFFULL));
  const float maximum = mantissa * power(static_cast<int>((common >> 16) & 7ULL) - 4);
  return first ? truncate(sign * maximum, type) : near_tie(random, maximum, type);
}

}  // namespace slow
