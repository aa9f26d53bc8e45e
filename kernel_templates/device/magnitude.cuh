// The largest magnitude of chunks of 32 bytes of bf16, f16 or f32, NaN skipped, as its bits:
// magnitudes order as their bits do.
#pragma once

#include "device/words_max.cuh"

namespace fourge_device {

template <ElementType kType>
struct Magnitude {
  enum : int { kElements = 16 };

  template <int kCount>
  static FOURGE_INLINE uint32 largest(const Words8 (&x)[kCount]) {
    return maximum_of<kType>(x).bits;
  }
  static FOURGE_INLINE float value(uint32 bits) { return value_of_bits<kType>(bits); }
};

template <>
struct Magnitude<ElementType::f32> {
  enum : int { kElements = 8 };

  template <int kCount>
  static FOURGE_INLINE uint32 largest(const Words8 (&x)[kCount]) {
    constexpr uint32 kInfinity = 0x7F800000u;
    uint32 bits = 0;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        const uint32 magnitude = x[i].w[k] & 0x7FFFFFFFu;
        bits = max_u32(bits, magnitude <= kInfinity ? magnitude : 0u);
      }
    }
    return bits;
  }
  static FOURGE_INLINE float value(uint32 bits) { return float_from_bits(bits); }
};

// Of the chunks first, first + stride, ... below count. Several are on their way at once.
template <class Config>
FOURGE_INLINE uint32 largest_magnitude(const void* x, int64 first, int64 stride, int64 count) {
  constexpr int kUnroll = 4;
  uint32 bits = 0;
  for (int64 chunk = first; chunk < count; chunk += kUnroll * stride) {
    Words8 words[kUnroll];
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) {
      words[i] = Words8{};
      if (chunk + i * stride < count) {
        words[i] = load_words8<Config::kLoad256()>(static_cast<const char*>(x) +
                                                   (chunk + i * stride) * 32);
      }
    }
    bits = max_u32(bits, Magnitude<Config::kInput()>::largest(words));
  }
  return bits;
}

}  // namespace fourge_device
