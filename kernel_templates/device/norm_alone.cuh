// RMSNorm and quantization of a row by a CTA that is alone with it: the copy engine puts it into shared memory, and rolled
// loops take it block by block. No registers hold it, so that as many CTAs run side by side as a block's registers allow;
// the bits are those of norm_row.cuh.
#pragma once

#include "device/bulk_copy.cuh"
#include "device/lane_sums.cuh"
#include "device/norm_quantize.cuh"

namespace fourge_device {

template <class Config>
struct LoneRow {
  __device__ static constexpr ElementType kType() { return Config::kInput(); }
  enum : bool { kAdds = Config::kResidual() == Residual::add };
  enum : bool { kMx = Config::kFormat() == QuantizedFormat::mxfp8 };
  using P = Packed16<kType()>;

  const NormOperands& operands;
  int64 first;  // its first element
  uint32 blocks;
  SharedRow of_thread;  // the thread's first block
  Words8 weight;

  FOURGE_INLINE LoneRow(const NormOperands& given, const SharedRow& shared, int64 index)
      : operands(given),
        first(index * given.cols),
        blocks(static_cast<uint32>(given.cols) / 16),
        of_thread(shared.from(2 * static_cast<int>(threadIdx.x))),
        weight{} {}

  // f(block, where it lies) for those of the thread, which are blockDim.x apart.
  template <class F>
  FOURGE_INLINE void each(const F& f) const {
    SharedRow at = of_thread;
#pragma unroll 1
    for (uint32 block = threadIdx.x; block < blocks; block += blockDim.x) {
      f(block, at);
      at = at.from(2 * static_cast<int>(blockDim.x));
    }
  }
  // The same, and with MXFP8, whose lanes exchange maxima, as often for all of a warp: lanes beyond the row then have
  // block 0 to look at.
  template <class F>
  FOURGE_INLINE void each_to_quantize(const F& f) const {
    if constexpr (kMx) {
      const SharedRow row = of_thread.from(-2 * static_cast<int>(threadIdx.x));
      const uint32 end = blocks + (threadIdx.x & 31u);
#pragma unroll 1
      for (uint32 block = threadIdx.x; block < end; block += blockDim.x) {
        f(block, row.from(block < blocks ? 2 * static_cast<int>(block) : 0));
      }
    } else {
      each(f);
    }
  }

  static FOURGE_INLINE Words8 get(const SharedRow& at) {
    const Words4 a = at.get(0);
    return joined(a, at.get(1));
  }
  static FOURGE_INLINE void put(const SharedRow& at, const Words8& words) {
    at.put(0, {{words.w[0], words.w[1], words.w[2], words.w[3]}});
    at.put(1, {{words.w[4], words.w[5], words.w[6], words.w[7]}});
  }
  FOURGE_INLINE char* output(void* to, uint32 block) const {
    return advance(static_cast<char*>(to) + first * 2, block, 32);
  }

  // The sums of all lanes; where something is added, h takes the place of x.
  FOURGE_INLINE void sum(const FourLaneSums& sums) const {
    each([&](uint32 block, const SharedRow& at) {
      Words8 h = get(at);
      if constexpr (kAdds) {
        const Words8 r = get(at.from(2 * static_cast<int>(blocks)));
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          h.w[i] = pack_pair<kType()>(add_rn(P::low(h.w[i]), P::low(r.w[i])),
                                      add_rn(P::high(h.w[i]), P::high(r.w[i])));
        }
        put(at, h);
        store_words(output(operands.residual_out, block), h.w);
      }
      // A lane's later blocks have its thread, too: their number is a multiple of the CTA's threads further.
      const SharedAddress place = sums.place(block);
      float lane = block < kMostLanes ? 0.0f : float_from_bits(shared_word(place));
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float low = P::low(h.w[i]);
        const float high = P::high(h.w[i]);
        lane = fma_rn(high, high, fma_rn(low, low, lane));
      }
      put_shared_float(place, lane);
    });
  }

  // y of a block, which is stored where asked for.
  FOURGE_INLINE void load_weight(uint32 block) {
    if (block < blocks) {
      weight = load_words8<Config::kLoad256()>(
          advance(static_cast<const char*>(operands.weight), block, 32));
    }
  }
  FOURGE_INLINE Words8 normalised(uint32 block, const SharedRow& at, float factor) {
    Words8 y = get(at);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const NormPair pair =
          normalised_pair<Config>({P::low(y.w[i]), P::high(y.w[i])}, weight.w[i], factor);
      y.w[i] = pack_pair<kType()>(pair.low, pair.high);
    }
    load_weight(block + blockDim.x);
    if_seldom(operands.norm_out != nullptr && (!kMx || block < blocks),
              [&] { store_words(output(operands.norm_out, block), y.w); });
    return y;
  }
};

// The largest magnitude's bits, NaN skipped, of rows whose y is in the place of x.
template <class Config>
FOURGE_INLINE uint32 normed_maximum(const LoneRow<Config>& row, uint32 packed) {
  uint32 bits = bits_of_packed(packed);
  if (unlikely(bits > Packed16<Config::kInput()>::kInfinity)) {
    bits = 0;
    row.each([&](uint32, const SharedRow& at) {
      bits = max_u32(bits, block_max_bits_skip_nan<Config::kInput()>(row.get(at).w));
    });
  }
  return bits;
}

template <class Config>
FOURGE_INLINE void quantize_lone_row(const NormOperands& operands, uint8* q, uint8* scales,
                                     float* token_scales, const float* scale, float scale_value,
                                     int64 rows) {
  constexpr ScaleLayout kLayout = Config::kLayout();
  constexpr bool kToken = Config::kScaling() == Scaling::token;
  constexpr bool kMx = LoneRow<Config>::kMx;
  __shared__ SharedArray<uint32, 64> scratch;
  __shared__ uint64 barrier;
  __shared__ __align__(16) FourLaneSums::Storage storage;  // read four words at a time
  const int64 index = static_cast<int64>(blockIdx.y) * gridDim.x + blockIdx.x;
  wait_for_predecessor<Config>();
  if (index >= padded_rows<kLayout>(rows)) {
    return;
  }
  const SharedRow shared(0);
  BulkCopy copy(barrier, shared);
  const int64 columns = unit_scale_columns<Config>(operands.cols);
  const int64 all_columns = padded_columns<kLayout>(columns);
  if (kLayout != ScaleLayout::linear && index >= rows) {
    store_zero_scales<Config>(scales, index, all_columns);
    return;
  }
  LoneRow<Config> row(operands, shared, index);
  if_seldom(threadIdx.x == 0, [&] {
    const char* const x = static_cast<const char*>(operands.x) + row.first * 2;
    if constexpr (LoneRow<Config>::kAdds) {
      copy.ask_two(x, static_cast<const char*>(operands.residual) + row.first * 2, row.blocks * 32);
    } else {
      copy.ask(x, row.blocks * 32);
    }
  });
  const float given = !kToken && scale != nullptr ? load(scale) : scale_value;
  row.load_weight(threadIdx.x);
  const FourLaneSums sums(storage);
  FourLaneSums::clear(storage);
  const BlockPlaces<Config> places(q, row.first, scales, index, all_columns,
                                   static_cast<int>(threadIdx.x & 31u));
  UnitFactors<Config> factors = given_factors<Config>(kToken ? 1.0f : given);
  __syncthreads();
  copy.wait();
  row.sum(sums);
  __syncthreads();
  const float factor = norm_factor(sums.total(row.blocks), operands.cols, operands.eps);
  if constexpr (kToken) {
    uint32 packed = 0;
    row.each([&](uint32 block, const SharedRow& at) {
      const Words8 y = row.normalised(block, at, factor);
      packed = max_packed<Config::kInput()>(packed, block_max_packed<Config::kInput()>(y.w));
      row.put(at, y);
    });
    const uint32 largest = cta_max_alternating(normed_maximum(row, packed), scratch, 0);
    float decode = 0.0f;
    factors = token_factors<Config>(value_of_bits<Config::kInput()>(largest), given, decode);
    if (threadIdx.x == 0) {
      store(token_scales + index, decode);
    }
  }
  row.each_to_quantize([&](uint32 block, const SharedRow& at) {
    const Words8 y = kToken ? row.get(at) : row.normalised(block, at, factor);
    const QuantizedBlock result = quantize_rounded<Config>(y, factors);
    const bool inside = !kMx || block < row.blocks;
    if (inside) {
      places.store_codes(static_cast<int>(block), result);
    }
    places.store_scale(static_cast<int>(block), inside, result.scale);
  });
  // With MXFP8 that was done.
  if constexpr (kLayout != ScaleLayout::linear && !kMx) {
    if (threadIdx.x < static_cast<uint32>(all_columns - columns)) {
      store(scales + scale_offset<kLayout>(index, columns + threadIdx.x, all_columns), uint8{0});
    }
  }
}

}  // namespace fourge_device
