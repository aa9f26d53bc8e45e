// RMSNorm of one row, on the threads of one row, each with every so-many-th unit of 32 elements; a source
// says which and where x is. A thread holds one unit, in the 16-bit type; a row of more is read again, from its other
// end. Weights come from the cache when they are needed: holding them would cost a third of the warps.
#pragma once

#include "device/global_memory.cuh"
#include "device/row_sum.cuh"
#include "device/unit_quantize.cuh"

namespace fourge_device {

enum class Residual { none, add };
enum class NormWeight { plain, plus_one };

struct NormOperands {
  const void* x;
  const void* residual;
  const void* weight;
  void* residual_out;
  void* norm_out;
  float eps;
  int cols;
};

struct NormPair {
  float low;
  float high;
};

// x in global memory, blockDim.x threads a row.
template <class Config>
struct GlobalRow {
  static constexpr bool kMayLackSum = false;  // whether residual_out may be null
  // Whether this thread has units at all, of a row of so many columns.
  static FOURGE_INLINE bool working(int) { return true; }
  static FOURGE_INLINE int column_of(int round, int) {
    return (round * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)) * 32;
  }
  static FOURGE_INLINE UnitWords load(const void* x, int64 row, int column, int cols) {
    return load_unit_words<Config>(x, row, column, cols);
  }
};

// Use: gather(), then for each unit load() (but for the one that is held), normalise() and what quantizes.
template <class Config, class Source = GlobalRow<Config>>
struct NormRow {
  static constexpr ElementType kType = Config::kInput;
  static constexpr bool kAdds = Config::kResidual == Residual::add;
  static constexpr bool kRounds = Config::kRounding == Rounding::rounded;
  // A sum that is not rounded is made anew wherever it is used.
  static constexpr bool kHoldsBoth = kAdds && !kRounds;

  const NormOperands& operands;
  int64 row;  // its first element
  float inverse;
  UnitWords h;  // x, or their sum; after normalise() of a rounded order, its output
  UnitWords residual;

  FOURGE_INLINE int column_of(int round) const { return Source::column_of(round, operands.cols); }

  FOURGE_INLINE NormPair sum_of(int half, int i) const {
    using P = Packed16<kType>;
    NormPair v = {P::low(h.half[half].w[i]), P::high(h.half[half].w[i])};
    if constexpr (kHoldsBoth) {
      const uint32 r = residual.half[half].w[i];
      v = {add_rn(v.low, P::low(r)), add_rn(v.high, P::high(r))};
    }
    return v;
  }

  // h = x + residual.
  FOURGE_INLINE void load(int round) {
    using P = Packed16<kType>;
    const int column = column_of(round);
    h = Source::load(operands.x, row, column, operands.cols);
    if constexpr (kAdds) {
      residual = load_unit_words<Config>(operands.residual, row, column, operands.cols);
    }
    if constexpr (kAdds && kRounds) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          const uint32 r = residual.half[half].w[i];
          uint32& word = h.half[half].w[i];
          word =
              pack_pair<kType>(add_rn(P::low(word), P::low(r)), add_rn(P::high(word), P::high(r)));
        }
      }
    }
  }

  // Leaves the last round's unit.
  FOURGE_INLINE void gather(int rounds, SharedArray<uint32, 64>& scratch) {
    float sum = 0.0f;
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
      load(round);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          const NormPair v = sum_of(half, i);
          sum = fma_rn(v.low, v.low, sum);
          sum = fma_rn(v.high, v.high, sum);
        }
      }
    }
    sum = cta_sum_alternating(sum, scratch, 0);
    const float mean = mul_rn(sum, rcp_rn_normal(static_cast<float>(operands.cols)));
    inverse = rcp_rn(sqrt_rn(add_rn(mean, operands.eps)));
  }

  FOURGE_INLINE Words8 weights(int half, int column) const {
    const int first = column + 16 * half;
    Words8 w = {};
    if (first < operands.cols) {
      w = load_words8<Config::kLoad256>(static_cast<const char*>(operands.weight) + 2 * first);
    }
    return w;
  }

  FOURGE_INLINE NormPair normalised(int half, int i, uint32 weight) const {
    using P = Packed16<kType>;
    const NormPair v = sum_of(half, i);
    NormPair w = {P::low(weight), P::high(weight)};
    if constexpr (Config::kWeight == NormWeight::plus_one) {
      w = {add_rn(w.low, 1.0f), add_rn(w.high, 1.0f)};
    }
    return {mul_rn(mul_rn(v.low, inverse), w.low), mul_rn(mul_rn(v.high, inverse), w.high)};
  }

  FOURGE_INLINE UnitWords rounded_output(int column) const {
    UnitWords y;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const Words8 w = weights(half, column);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const NormPair v = normalised(half, i, w.w[i]);
        y.half[half].w[i] = pack_pair<kType>(v.low, v.high);
      }
    }
    return y;
  }

  // Stores h, where it is a sum, and the output, where asked for, if kStore. In a rounded order the output
  // takes the place of h.
  template <bool kStore>
  FOURGE_INLINE void normalise(int round) {
    const int column = column_of(round);
    if constexpr (kStore && kAdds) {
      UnitWords sum = h;
      if constexpr (kHoldsBoth) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
#pragma unroll
          for (int i = 0; i < 8; ++i) {
            const NormPair v = sum_of(half, i);
            sum.half[half].w[i] = pack_pair<kType>(v.low, v.high);
          }
        }
      }
      if (!Source::kMayLackSum || operands.residual_out != nullptr) {
        store_unit_words(operands.residual_out, row, column, operands.cols, sum);
      }
    }
    if constexpr (kRounds) {
      h = rounded_output(column);
    }
    if (kStore && operands.norm_out != nullptr) {
      store_unit_words(operands.norm_out, row, column, operands.cols,
                       kRounds ? h : rounded_output(column));
    }
  }

  // The output of a normalised unit.
  FOURGE_INLINE void values(int round, float (&v)[32]) const {
    using P = Packed16<kType>;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const Words8 w = kRounds ? Words8{} : weights(half, column_of(round));
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const uint32 word = h.half[half].w[i];
        const NormPair pair =
            kRounds ? NormPair{P::low(word), P::high(word)} : normalised(half, i, w.w[i]);
        v[16 * half + 2 * i] = pair.low;
        v[16 * half + 2 * i + 1] = pair.high;
      }
    }
  }

  // Its largest magnitude as bits of a float, NaN skipped.
  FOURGE_INLINE uint32 magnitude(int round) const {
    if constexpr (kRounds) {
      uint32 bits = bits_of_packed(max_packed<kType>(block_max_packed<kType>(h.half[0].w),
                                                     block_max_packed<kType>(h.half[1].w)));
      if (unlikely(bits > Packed16<kType>::kInfinity)) {
        bits = max_u32(block_max_bits_skip_nan<kType>(h.half[0].w),
                       block_max_bits_skip_nan<kType>(h.half[1].w));
      }
      return float_bits(value_of_bits<kType>(bits));
    } else {
      float v[32];
      values(round, v);
      return unit_magnitude(v);
    }
  }
};

}  // namespace fourge_device
