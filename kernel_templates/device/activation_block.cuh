// The block of 16 values that an operation quantizes: as it lies in memory, or after SiLU-and-multiply.
#pragma once

#include "device/convert16.cuh"
#include "device/global_memory.cuh"
#include "device/packed16.cuh"
#include "device/swish.cuh"

namespace fourge_device {

// What stands before the quantizer. gate_first: a row is [gate | linear].
enum class Activation { none, silu_gate_first, silu_linear_first };

template <class Config, bool kBounded>
FOURGE_INLINE uint32 silu_and_mul_pair(uint32 gate, uint32 linear) {
  using P = Packed16<Config::kInput()>;
  const auto one = [](float g, float l) {
    return mul_rn(swish<Config::kMath(), kBounded>(g, g), l);
  };
  return pack_pair<Config::kInput()>(one(P::low(gate), P::low(linear)),
                                     one(P::high(gate), P::high(linear)));
}

// A block's inputs: 16 gates, and what they are multiplied with, `distance` bytes apart.
struct GatedWords {
  Words8 gate;
  Words8 linear;
};

template <class Config>
FOURGE_INLINE GatedWords load_gated(const char* block, int64 distance) {
  constexpr bool kGateFirst = Config::kActivation() == Activation::silu_gate_first;
  return {load_words8<Config::kLoad256()>(kGateFirst ? block : block + distance),
          load_words8<Config::kLoad256()>(kGateFirst ? block + distance : block)};
}

// SiLU-and-multiply of a block that was loaded from there. kAtOnce: 1, half a block at a time, for fewer registers;
// 2. Gates beyond the range of a bounded swish(), NaN and infinities are rare: they are loaded again. Results
// take the place of the linear half.
template <class Config, int kAtOnce>
FOURGE_INLINE Words8 silu_and_mul_words(const GatedWords& words, const char* block,
                                        int64 distance) {
  constexpr uint32 kLargest = Config::kInput() == ElementType::bf16 ? 0x42ACu : 0x5560u;  // 86
  constexpr bool kExact = Config::kMath() == MathMode::exact;
  Words8 g = words.gate;
  Words8 l = words.linear;
  const uint32 largest = kExact ? block_max_packed<Config::kInput()>(g.w) : 0u;
#pragma unroll(kAtOnce)
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32 pair = silu_and_mul_pair<Config, kExact>(g.w[i], l.w[i]);
      g.w[i] = g.w[i + 4];
      l.w[i] = l.w[i + 4];
      l.w[i + 4] = pair;
    }
  }
  if (kExact && unlikely(bits_of_packed(largest) > kLargest)) {
    const GatedWords again = load_gated<Config>(block, distance);
    g = again.gate;
    l = again.linear;
#pragma unroll 1
    for (int i = 0; i < 8; ++i) {
      const uint32 pair = silu_and_mul_pair<Config, false>(g.w[0], l.w[0]);
#pragma unroll
      for (int k = 0; k < 7; ++k) {
        g.w[k] = g.w[k + 1];
        l.w[k] = l.w[k + 1];
      }
      l.w[7] = pair;
    }
  }
  return l;
}

// columns: blocks of 16 in an output row. An input row has twice as many with an activation.
template <class Config>
FOURGE_INLINE Words8 load_activation_block(const void* x, int64 row, int64 column, int64 columns) {
  const char* base = static_cast<const char*>(x);
  if constexpr (Config::kActivation() == Activation::none) {
    return load_words8<Config::kLoad256()>(base + (row * columns + column) * 32);
  } else {
    const char* const block = base + (row * 2 * columns + column) * 32;
    return silu_and_mul_words<Config, 1>(load_gated<Config>(block, columns * 32), block,
                                         columns * 32);
  }
}

}  // namespace fourge_device
