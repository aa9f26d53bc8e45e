// RMSNorm of one row that stays in registers, and its quantization to NVFP4. How many threads a row has and how many
// blocks of 16 elements each of them are constants, so that all addresses are: the code is straight, with the bits of
// norm_row.cuh.
#pragma once

#include "device/norm_quantize.cuh"

namespace fourge_device {

struct RowShape {
  int threads;
  int blocks;   // a thread; 0: rows of any length, in shared memory
  bool copied;  // to shared memory first; a CTA takes several rows, see norm_copied.cuh
};

// Where codes and scales of a thread's first block go; those of the others follow at one distance.
template <class Config>
struct RowPlaces {
  enum : int { kThreads = Config::kRow().threads };
  enum : int64 { kColumns = kThreads * Config::kRow().blocks };
  static_assert(kThreads % 32 == 0);
  // No layout has padding columns for rows of these lengths.
  enum : int { kScaleStep = static_cast<int>(BlockPlaces<Config>::kScaleBytes) * kThreads };
  uint8* codes;
  uint8* scales;

  FOURGE_INLINE RowPlaces(int64 row, uint32 thread, uint8* q, uint8* all_scales)
      : codes(advance(q + row * (8 * kColumns), thread, 8)),
        scales(all_scales +
               scale_offset<Config::kLayout()>(row, static_cast<int64>(thread), kColumns)) {}
  // With rows so many apart, which are whole tiles, those of the next.
  enum : bool { kFollow = Config::kLayout() != ScaleLayout::tiled_128x4 };
  FOURGE_INLINE void advance_rows(int64 count) {
    codes += count * (8 * kColumns);
    scales += count * kColumns;
  }
  // A scale by itself, in tiles too: lanes that exchange theirs store as many sectors at once as in four turns.
  FOURGE_INLINE void put(int i, const Nvfp4Block& block) const {
    store(reinterpret_cast<uint64*>(codes + i * (8 * kThreads)),
          block.codes[0] | (static_cast<uint64>(block.codes[1]) << 32));
    store(scales + i * kScaleStep, static_cast<uint8>(block.scale));
  }
};

// Use: start(), gather(), quantize().
template <class Config>
struct RegisterRow {
  __device__ static constexpr ElementType kType() { return Config::kInput(); }
  enum : int { kThreads = Config::kRow().threads };
  enum : int { kBlocks = Config::kRow().blocks };
  enum : int { kCols = 16 * kThreads * kBlocks };
  using P = Packed16<kType()>;
  using Factors = Nvfp4Factors<Config, false>;

  const NormOperands& operands;
  int64 index;
  uint32 thread;
  Words8 h[kBlocks];    // x; in quantize() then its output
  Words8 held_weights;  // of a thread that has no other block, on its way together with x

  FOURGE_INLINE RegisterRow(const NormOperands& given, int64 of_row)
      : operands(given), index(of_row), thread(threadIdx.x), h{}, held_weights{} {}

  // Bytes between a thread's blocks.
  enum : int { kStep = 32 * kThreads };

  FOURGE_INLINE void start() {
    const char* const from = of_thread(operands.x, index);
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      h[i] = load_block(from, i);
    }
    if constexpr (kBlocks == 1) {
      held_weights = load_block(of_thread(operands.weight, 0), 0);
    }
  }

  // The sum of a block's squares.
  FOURGE_INLINE float block_sum(int i) const {
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      const float low = P::low(h[i].w[k]);
      const float high = P::high(h[i].w[k]);
      sum = fma_rn(high, high, fma_rn(low, low, sum));
    }
    return sum;
  }
  // The row's factor.
  FOURGE_INLINE float gather(SharedArray<float, kMostLanes>& sums) const {
    const LaneSums lane_sums(sums, 0);
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      lane_sums.set(static_cast<int>(thread) + i * kThreads, block_sum(i));
    }
    __syncthreads();
    return norm_factor(sum_of_lanes(sums, 0, kBlocks * kThreads), kCols, operands.eps);
  }

  FOURGE_INLINE void quantize(float factor, const Factors& factors, uint8* q, uint8* scales) {
    const char* const weights = of_thread(operands.weight, 0);
    const RowPlaces<Config> to(index, thread, q, scales);
    bool ordinary = true;
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      h[i] = normalised(h[i], kBlocks == 1 ? held_weights : load_block(weights, i), factor);
      const Nvfp4Block block = quantize_nvfp4_block_ordinary<Config>(h[i], factors, ordinary);
      to.put(i, block);
    }
    if_seldom(operands.norm_out != nullptr, [&] {
      char* const out = of_thread(operands.norm_out, index);
#pragma unroll
      for (int i = 0; i < kBlocks; ++i) {
        store_words(out + i * kStep, h[i].w);
      }
    });
    if (unlikely(!ordinary)) {
      quantize_again(factors, to);
    }
  }

 private:
  // The thread's first block.
  FOURGE_INLINE const char* of_thread(const void* all, int64 row) const {
    return advance(static_cast<const char*>(all) + row * (2 * kCols), thread, 32);
  }
  FOURGE_INLINE char* of_thread(void* all, int64 row) const {
    return advance(static_cast<char*>(all) + row * (2 * kCols), thread, 32);
  }
  static FOURGE_INLINE Words8 load_block(const char* from, int i) {
    return load_words8<Config::kLoad256()>(from + i * kStep);
  }

  static FOURGE_INLINE Words8 normalised(const Words8& x, const Words8& weight, float factor) {
    Words8 result;
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      const NormPair v = {P::low(x.w[k]), P::high(x.w[k])};
      const NormPair y = normalised_pair<Config>(v, weight.w[k], factor);
      result.w[k] = pack_pair<kType()>(y.low, y.high);
    }
    return result;
  }

  // Blocks that may be out of the ordinary: one copy of the code, to which they move up.
  FOURGE_INLINE void quantize_again(const Factors& factors, const RowPlaces<Config>& to) {
    Factors exact = factors;
    exact.make_exact();
#pragma unroll 1
    for (int i = 0; i < kBlocks; ++i) {
      const Nvfp4Block block = quantize_nvfp4_block_any<Config>(h[0], exact);
      to.put(i, block);
#pragma unroll
      for (int k = 0; k + 1 < kBlocks; ++k) {
        h[k] = h[k + 1];
      }
    }
  }
};

}  // namespace fourge_device
