// The sum over ranks, in their order, of eight elements.
#pragma once

#include "device/convert16.cuh"
#include "device/global_memory.cuh"
#include "device/packed16.cuh"
#include "device/peer_memory.cuh"

namespace fourge_device {

enum class Accumulate { f32, type };

// Both halves -0.0: no word of an array without -0.0.
enum : uint32 { kSentinel = 0x80008000u };

FOURGE_INLINE bool has_sentinel(const PeerVector& v) {
  return v.w[0] == kSentinel || v.w[1] == kSentinel || v.w[2] == kSentinel || v.w[3] == kSentinel;
}

// Every -0.0 becomes +0.0: w * 1 + 0. What else changes are the bits of a NaN.
template <ElementType kType>
FOURGE_INLINE uint32 without_negative_zeros(uint32 w) {
#if defined(FOURGE_HOST_EXECUTION)
  const uint32 low = w & 0xFFFFu;
  const uint32 high = w >> 16;
  return (low == 0x8000u ? 0u : low) | ((high == 0x8000u ? 0u : high) << 16);
#else
  uint32 r;
  if constexpr (kType == ElementType::bf16) {
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(w), "r"(0x3F803F80u), "r"(0u));
  } else {
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(w), "r"(0x3C003C00u), "r"(0u));
  }
  return r;
#endif
}

// A vector of a rank's own rows as it takes part. Negative zeros go, which keeps it apart from the sentinel, and a
// sum that has become -0.0 by an underflow would show the difference. Apart from the load, so that several loads
// can be on their way.
template <ElementType kType>
FOURGE_INLINE PeerVector as_input(const PeerVector& words) {
  PeerVector v;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v.w[i] = without_negative_zeros<kType>(words.w[i]);
  }
  return v;
}

// Word by word: a branch would index the array that one of them is in.
FOURGE_INLINE PeerVector chosen(bool first, const PeerVector& a, const PeerVector& b) {
  PeerVector v;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v.w[i] = first ? a.w[i] : b.w[i];
  }
  return v;
}

template <class Config>
FOURGE_INLINE uint32 add_up_words(const PeerVector (&v)[Config::kRanks()], int i) {
  using P = Packed16<Config::kInput()>;
  float low = 0.0f;
  float high = 0.0f;
  uint32 word = 0;
#pragma unroll
  for (int r = 0; r < Config::kRanks(); ++r) {
    low = add_rn(low, P::low(v[r].w[i]));
    high = add_rn(high, P::high(v[r].w[i]));
    if (Config::kAccumulate() == Accumulate::type || r == Config::kRanks() - 1) {
      word = pack_pair<Config::kInput()>(low, high);
    }
    if constexpr (Config::kAccumulate() == Accumulate::type) {
      low = P::low(word);
      high = P::high(word);
    }
  }
  return word;
}

template <class Config>
FOURGE_INLINE PeerVector add_up(const PeerVector (&v)[Config::kRanks()]) {
  PeerVector sum;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    sum.w[i] = add_up_words<Config>(v, i);
  }
  return sum;
}

}  // namespace fourge_device
