// The largest magnitude of several times 16 elements of 16 bits.
#pragma once

#include "device/global_memory.cuh"
#include "device/packed16.cuh"

namespace fourge_device {

struct WordsMaximum {
  uint32 bits;   // of the largest number, NaN skipped; 0 if there is none
  bool unusual;  // there is a NaN or an infinity
};

template <ElementType kType, int kCount>
FOURGE_INLINE WordsMaximum maximum_of(const Words8 (&x)[kCount]) {
  constexpr uint32 kInfinity = Packed16<kType>::kInfinity;
  uint32 packed = block_max_packed<kType>(x[0].w);
#pragma unroll
  for (int i = 1; i < kCount; ++i) {
    packed = max_packed<kType>(packed, block_max_packed<kType>(x[i].w));
  }
  uint32 bits = bits_of_packed(packed);
  const bool unusual = bits >= kInfinity;
  if (unlikely(bits > kInfinity)) {
    bits = 0;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      bits = max_u32(bits, block_max_bits_skip_nan<kType>(x[i].w));
    }
  }
  return {bits, unusual};
}

}  // namespace fourge_device
