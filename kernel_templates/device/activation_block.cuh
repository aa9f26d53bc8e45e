// The block of 16 values that an operation quantizes: as it lies in memory, or after SiLU-and-multiply.
#pragma once

#include "device/activation.cuh"
#include "device/convert16.cuh"
#include "device/global_memory.cuh"
#include "device/packed16.cuh"

namespace fourge_device {

// What stands before the quantizer. gate_first: a row is [gate | linear].
enum class Activation { none, silu_gate_first, silu_linear_first };

template <class Config>
FOURGE_INLINE uint32 silu_and_mul_pair(uint32 gate, uint32 linear) {
  using P = Packed16<Config::kInput>;
  return pack_pair<Config::kInput>(mul_rn(silu<Config::kMath>(P::low(gate)), P::low(linear)),
                                   mul_rn(silu<Config::kMath>(P::high(gate)), P::high(linear)));
}

// columns: blocks of 16 in an output row. An input row has twice as many with an activation.
template <class Config>
FOURGE_INLINE Words8 load_activation_block(const void* x, int64 row, int64 column, int64 columns) {
  const char* base = static_cast<const char*>(x);
  if constexpr (Config::kActivation == Activation::none) {
    return load_words8<Config::kLoad256>(base + (row * columns + column) * 32);
  } else {
    const char* first = base + (row * 2 * columns + column) * 32;
    const Words8 a = load_words8<Config::kLoad256>(first);
    const Words8 b = load_words8<Config::kLoad256>(first + columns * 32);
    constexpr bool kGateFirst = Config::kActivation == Activation::silu_gate_first;
    Words8 result;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      result.w[i] = kGateFirst ? silu_and_mul_pair<Config>(a.w[i], b.w[i])
                               : silu_and_mul_pair<Config>(b.w[i], a.w[i]);
    }
    return result;
  }
}

}  // namespace fourge_device
