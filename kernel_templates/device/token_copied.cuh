// NVFP4 with one scale for a row, where a CTA has a row copied to shared memory: no registers hold it until its scale is
// known, so that a thread has as few as a block takes, and all addresses are steps from block to block.
#pragma once

#include "device/bulk_copy.cuh"
#include "device/nvfp4_block.cuh"
#include "device/packed16.cuh"
#include "device/reduce.cuh"
#include "device/scale_layout.cuh"
#include "device/token_scale.cuh"

namespace fourge_device {

// The blocks of a thread, which are blockDim.x apart.
struct CopiedBlocks {
  SharedRow of_thread;
  uint32 columns;

  FOURGE_INLINE CopiedBlocks(const SharedRow& row, uint32 all)
      : of_thread(row.from(2 * static_cast<int>(threadIdx.x))), columns(all) {}

  // f(block) for each of them.
  template <class F>
  FOURGE_INLINE void each(const F& f) const {
    SharedRow at = of_thread;
#pragma unroll 1
    for (uint32 column = threadIdx.x; column < columns; column += blockDim.x) {
      const Words4 a = at.get(0);
      f(joined(a, at.get(1)));
      at = at.from(2 * static_cast<int>(blockDim.x));
    }
  }
};

// The largest magnitude's bits, NaN skipped.
template <class Config>
FOURGE_INLINE uint32 copied_maximum(const CopiedBlocks& blocks) {
  uint32 packed = 0;
  blocks.each([&](const Words8& block) {
    packed = max_packed<Config::kInput()>(packed, block_max_packed<Config::kInput()>(block.w));
  });
  uint32 bits = bits_of_packed(packed);
  if (unlikely(bits > Packed16<Config::kInput()>::kInfinity)) {
    bits = 0;
    blocks.each([&](const Words8& block) {
      bits = max_u32(bits, block_max_bits_skip_nan<Config::kInput()>(block.w));
    });
  }
  return bits;
}

// A CTA's row, or entry of the map.
template <class Config>
FOURGE_INLINE void quantize_copied_token_row(const void* x, uint8* codes, uint8* scales,
                                             float* token_scales, const int* row_map,
                                             float global_scale_inverse, int64 rows, int64 cols,
                                             int64 mapped_rows) {
  constexpr ScaleLayout kLayout = Config::kLayout();
  __shared__ SharedArray<uint32, 64> scratch;
  __shared__ uint64 barrier;
  const SharedRow shared(0);
  const uint32 columns = static_cast<uint32>(cols) / 16;
  const uint32 all_columns = kLayout == ScaleLayout::linear ? columns : (columns + 3) / 4 * 4;
  int64 row = static_cast<int64>(blockIdx.y) * gridDim.x + blockIdx.x;
  if (row >= (row_map != nullptr ? mapped_rows : padded_rows<kLayout>(rows))) {
    return;
  }
  BulkCopy copy(barrier, shared);
  if (row_map != nullptr) {
    row = load(row_map + row);
    if (row < 0 || row >= rows) {
      return;
    }
  }
  if constexpr (kLayout != ScaleLayout::linear) {
    if (row >= rows) {
      store_zero_scales<Config>(scales, row, all_columns);
      return;
    }
  }
  if_seldom(threadIdx.x == 0,
            [&] { copy.ask(static_cast<const char*>(x) + row * columns * 32, columns * 32); });
  const CopiedBlocks blocks(shared, columns);
  uint8* to = advance(codes + row * columns * 8, threadIdx.x, 8);
  uint8* scale_to = scales + scale_offset<kLayout>(row, threadIdx.x, all_columns);
  const uint32 step = blockDim.x * 8;
  const uint32 scale_step = blockDim.x * kScaleStep<kLayout>;
  const float given = token_scale_given<Config>(global_scale_inverse);
  __syncthreads();
  copy.wait();
  const uint32 largest = cta_max_alternating(copied_maximum<Config>(blocks), scratch, 0);
  const float row_maximum = value_of_bits<Config::kInput()>(largest);
  const TokenScale scale = token_scale_of<Config>(row_maximum, given);
  const Nvfp4Factors<Config, true> factors(scale.encode, row_maximum);
  if (threadIdx.x == 0) {
    store(token_scales + row, scale.decode);
  }
  blocks.each([&](const Words8& words) {
    const Nvfp4Block block = quantize_nvfp4_block<Config>(words, factors);
    store(reinterpret_cast<uint64*>(to),
          block.codes[0] | (static_cast<uint64>(block.codes[1]) << 32));
    store(scale_to, static_cast<uint8>(block.scale));
    to += step;
    scale_to += scale_step;
  });
  if constexpr (kLayout != ScaleLayout::linear) {
    if (threadIdx.x < all_columns - columns) {
      store(scales + scale_offset<kLayout>(row, columns + threadIdx.x, all_columns), uint8{0});
    }
  }
}

}  // namespace fourge_device
