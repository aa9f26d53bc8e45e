// RMSNorm of rows to NVFP4 where a CTA takes several, one after the other, each thread the same blocks of all: the
// weights wait in shared memory as floats, and the next row is copied to shared memory while one is normed and quantized.
#pragma once

#include "device/bulk_copy.cuh"
#include "device/norm_registers.cuh"
#include "device/shared_copy.cuh"

namespace fourge_device {

// The sums of a row's blocks, as sum_of_lanes() adds them up, but those of blocks i, i + 32, ... beside each other, so
// that a lane reads four at a time. Two rows' take turns, so that a row needs one barrier.
template <int kBlocksOfRow>
struct BlockSums {
  enum : int { kCount = kBlocksOfRow / 32 };
  // Of a lane, in words: a multiple of four, and five of those, so that eight lanes' writes meet eight banks.
  enum : int { kStride = 20 };
  static_assert(kBlocksOfRow % 64 == 0 && kCount <= 16);
  using Storage = SharedArray<float, 2 * 32 * kStride>;

  SharedAddress of_lane;
  uint32 turn;

  FOURGE_INLINE explicit BlockSums(Storage& storage)
      : of_lane(shared_address(&storage, (threadIdx.x & 31u) * (4 * kStride))), turn(0) {}

  FOURGE_INLINE void set(int i, float sum) const {
    put_shared_float(of_lane + turn + (threadIdx.x / 32 + i) * 4, sum);
  }
  // After a barrier; all lanes of a warp call.
  FOURGE_INLINE float total() {
    const SharedAddress from = of_lane + turn;
    turn = 4 * 32 * kStride - turn;
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k + 4 <= kCount; k += 4) {
      const Words4 four = shared_words(from + 4 * k);
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        sum = add_rn(sum, float_from_bits(four.w[n]));
      }
    }
    if constexpr (kCount % 4 != 0) {
      const Floats2 two = shared_floats(from + 4 * (kCount - 2));
      sum = add_rn(add_rn(sum, two.v[0]), two.v[1]);
    }
    return warp_sum(sum);
  }
};

// A thread's blocks of one row after another, as floats: those of x are unpacked once for the sum and the norm, the
// weights once for all rows, which wait in shared memory for their thread. Threads lie side by side there, 16 bytes each.
template <class Config>
struct CopiedRow {
  __device__ static constexpr ElementType kType() { return Config::kInput(); }
  enum : int { kThreads = Config::kRow().threads };
  enum : int { kBlocks = Config::kRow().blocks };
  enum : int { kCols = 16 * kThreads * kBlocks };
  using P = Packed16<kType()>;
  using Weights = SharedArray<float, kCols>;

  SharedAddress weights;
  NormPair x[kBlocks][8];

  FOURGE_INLINE explicit CopiedRow(Weights& storage)
      : weights(shared_address(&storage, threadIdx.x * 16)), x{} {}

  FOURGE_INLINE SharedAddress weights_at(int i, int k) const {
    return weights + (4 * i + k) * (16 * kThreads);
  }
  FOURGE_INLINE void load_weights(const void* from) const {
    const char* const own = advance(static_cast<const char*>(from), threadIdx.x, 32);
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      const Words8 w = load_words8<Config::kLoad256()>(own + i * (32 * kThreads));
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const NormPair a = weight_pair<Config>(w.w[2 * k]);
        const NormPair b = weight_pair<Config>(w.w[2 * k + 1]);
        put_shared_words(weights_at(i, k), {{float_bits(a.low), float_bits(a.high),
                                             float_bits(b.low), float_bits(b.high)}});
      }
    }
  }
  // shared: what the thread's blocks begin at, were it the first.
  FOURGE_INLINE void take(const SharedRow& shared) {
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        const Words4 words = shared.get(2 * i * kThreads + k);
#pragma unroll
        for (int n = 0; n < 4; ++n) {
          x[i][4 * k + n] = {kept(P::low(words.w[n])), kept(P::high(words.w[n]))};
        }
      }
    }
  }
  // The sum of a block's squares.
  FOURGE_INLINE float block_sum(int i) const {
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      sum = fma_rn(x[i][k].high, x[i][k].high, fma_rn(x[i][k].low, x[i][k].low, sum));
    }
    return sum;
  }
  FOURGE_INLINE Words8 normalised(int i, float factor) const {
    Words8 result;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const Words4 w = shared_words(weights_at(i, k));
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        const NormPair v = x[i][2 * k + n];
        result.w[2 * k + n] =
            pack_pair<kType()>(mul_rn(mul_rn(v.low, factor), float_from_bits(w.w[2 * n])),
                               mul_rn(mul_rn(v.high, factor), float_from_bits(w.w[2 * n + 1])));
      }
    }
    return result;
  }
};

template <class Config>
FOURGE_INLINE void quantize_copied_rows(const NormOperands& operands, const float* scale,
                                        float scale_value, uint8* q, uint8* scales, int64 rows) {
  using Row = CopiedRow<Config>;
  using Places = RowPlaces<Config>;
  using Sums = BlockSums<Row::kThreads * Row::kBlocks>;
  constexpr uint32 kBytes = 2 * Row::kCols;
  __shared__ uint64 barrier;
  __shared__ __align__(16) typename Sums::Storage storage;  // read four words at a time
  __shared__ __align__(16) typename Row::Weights weights;

  const SharedRow shared(0);
  BulkCopy copy(barrier, shared);
  wait_for_predecessor<Config>();
  int64 index = blockIdx.x;
  const uint32 asks = kept(threadIdx.x == 0 ? 1u : 0u);
  const auto ask = [&](int64 of_row) {
    if_seldom(asks != 0, [&] {
      if (of_row < rows) {
        copy.ask(static_cast<const char*>(operands.x) + of_row * kBytes, kBytes);
      }
    });
  };
  ask(index);
  Row row(weights);
  row.load_weights(operands.weight);
  auto factors = given_factors<Config>(scale != nullptr ? load(scale) : scale_value).nvfp4;
  factors.below = kept(factors.below);
  const uint32 stores = kept(operands.norm_out != nullptr ? 1u : 0u);
  const SharedRow of_thread = shared.from(2 * static_cast<int>(threadIdx.x));
  Sums sums(storage);
  Places to(index, threadIdx.x, q, scales);
  __syncthreads();
#pragma unroll 1
  for (; index < rows; index += gridDim.x) {
    copy.wait();
    row.take(of_thread);
#pragma unroll
    for (int i = 0; i < Row::kBlocks; ++i) {
      sums.set(i * (Row::kThreads / 32), row.block_sum(i));
    }
    __syncthreads();
    ask(index + gridDim.x);
    const float factor = norm_factor(sums.total(), Row::kCols, operands.eps);
    if_seldom(stores != 0, [&] {
      char* const out =
          advance(static_cast<char*>(operands.norm_out) + index * kBytes, threadIdx.x, 32);
#pragma unroll
      for (int i = 0; i < Row::kBlocks; ++i) {
        store_words(out + i * (32 * Row::kThreads), row.normalised(i, factor).w);
      }
    });
    if constexpr (!Places::kFollow) {
      to = Places(index, threadIdx.x, q, scales);
    }
    // One after the other: nothing of a block is kept until the next is done.
#pragma unroll
    for (int i = 0; i < Row::kBlocks; ++i) {
      to.put(i, quantize_nvfp4_block<Config>(row.normalised(i, factor), factors));
    }
    if constexpr (Places::kFollow) {
      to.advance_rows(gridDim.x);
    }
  }
  if constexpr (Config::kLayout() != ScaleLayout::linear) {
#pragma unroll 1
    for (; index < padded_rows<Config::kLayout()>(rows); index += gridDim.x) {
      store_zero_scales<Config>(scales, index, Row::kCols / 16);
    }
  }
}

}  // namespace fourge_device
