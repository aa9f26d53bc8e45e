// RMSNorm of rows to NVFP4 where a CTA takes several, one after the other, each thread the same blocks of all: the
// weights stay in registers, and the next row is copied to shared memory while one is normed and quantized.
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

template <class Config>
FOURGE_INLINE void quantize_copied_rows(const NormOperands& operands, const float* scale,
                                        float scale_value, uint8* q, uint8* scales, int64 rows) {
  using Row = RegisterRow<Config>;
  using Sums = BlockSums<Row::kThreads * Row::kBlocks>;
  constexpr uint32 kBytes = 2 * Row::kCols;
  __shared__ uint64 barrier;
  __shared__ __align__(16) typename Sums::Storage storage;  // read four words at a time

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
  Row row(operands, index);
  row.load_weights();
  auto factors = given_factors<Config>(scale != nullptr ? load(scale) : scale_value).nvfp4;
  factors.below = kept(factors.below);
  const uint32 stores = kept(operands.norm_out != nullptr ? 1u : 0u);
  const SharedRow of_thread = shared.from(2 * static_cast<int>(threadIdx.x));
  Sums sums(storage);
  typename Row::Places to(row, q, scales);
  __syncthreads();
#pragma unroll 1
  for (; index < rows; index += gridDim.x) {
    copy.wait();
    row.take(of_thread, index);
#pragma unroll
    for (int i = 0; i < Row::kBlocks; ++i) {
      sums.set(i * (Row::kThreads / 32), row.block_sum(i));
    }
    __syncthreads();
    ask(index + gridDim.x);
    const float factor = norm_factor(sums.total(), Row::kCols, operands.eps);
    if constexpr (Row::Places::kFollow) {
      row.quantize_in_turn(factor, factors, to, stores);
      to.advance_rows(gridDim.x);
    } else {
      row.quantize_in_turn(factor, factors, typename Row::Places(row, q, scales), stores);
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
