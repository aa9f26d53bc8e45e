// Codes of the block formats back to floats, eight at a time. Exact.
#pragma once

#include "device/bits.cuh"
#include "device/e4m3.cuh"
#include "device/packed16.cuh"

namespace fourge_device {

// Four E2M1 codes in the low half of a word (what is above does not matter), as two bf16 pairs. The two
// bytes of each magnitude are looked up by byte permutes; the codes are their selectors.
FOURGE_INLINE void decode_e2m1x4(uint32 codes, uint32 (&pairs)[2]) {
  const uint32 selector = codes & 0x7777u;
  const uint32 lower = byte_permute(0xC0800000u, 0xC0804000u, selector);
  const uint32 upper = byte_permute(0x3F3F3F00u, 0x40404040u, selector);
  const uint32 signs = byte_permute(codes << 4, codes, 0x5140u) & 0x80808080u;
  pairs[0] = byte_permute(lower, upper | signs, 0x5140u);
  pairs[1] = byte_permute(lower, upper | signs, 0x7362u);
}

FOURGE_INLINE void decode_e2m1x8(uint32 codes, float (&values)[8]) {
  using P = Packed16<ElementType::bf16>;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    uint32 pairs[2];
    decode_e2m1x4(codes >> (16 * half), pairs);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      values[4 * half + 2 * i] = P::low(pairs[i]);
      values[4 * half + 2 * i + 1] = P::high(pairs[i]);
    }
  }
}

// Two E4M3 codes in the low half of a word.
template <class Config>
FOURGE_INLINE void decode_e4m3x2(uint32 codes, float& first, float& second) {
#if !defined(FOURGE_HOST_EXECUTION)
  if constexpr (Config::kCvtE4m3()) {
    uint32 pair;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(pair) : "h"(static_cast<uint16>(codes)));
    first = Packed16<ElementType::f16>::low(pair);
    second = Packed16<ElementType::f16>::high(pair);
    return;
  }
#endif
  first = decode_e4m3(codes & 0xFFu);
  second = decode_e4m3((codes >> 8) & 0xFFu);
}

template <class Config>
FOURGE_INLINE void decode_e4m3x8(const uint32 (&codes)[2], float (&values)[8]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    decode_e4m3x2<Config>(codes[i / 2] >> (16 * (i % 2)), values[2 * i], values[2 * i + 1]);
  }
}

}  // namespace fourge_device
