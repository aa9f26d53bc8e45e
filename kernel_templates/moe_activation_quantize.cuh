// moe_activation_quantize: see fourge/moe_activation_quantize.hpp for the contract.
//
// blockDim.x threads take a row, each every blockDim.x-th block of 16 columns; a CTA has blockDim.y
// rows at a time. A row of more blocks with a scale of its own is computed twice, from its end the second
// time. First of all the CTAs share out the scales that are padding, while no registers are taken.
#pragma once

#include "device/activated_block.cuh"
#include "device/activation_warp.cuh"
#include "device/expert_rows.cuh"
#include "device/reduce.cuh"

namespace fourge_device {

// Rows that a thread takes one after another: the launch rule is the same. Few where CTAs are few; more
// where each row's expert is looked up.
template <class Config>
FOURGE_INLINE uint32 activation_rows_each(int64 rows) {
  constexpr bool kLooksUp =
      Config::kLayout() != ScaleLayout::linear || Config::kScaling() == Scaling::expert;
  if (Config::kFormat() == QuantizedFormat::none || rows < 8192) {
    return 1;
  }
  return rows < (kLooksUp ? 32768 : 65536) ? 4 : 8;
}

// The launch has CTAs for all rows, so that no loop over them keeps registers: FP8 with a scale a token then has the 64
// that let four CTAs run, 5% faster. Others are as fast or up to 4% faster with the loop. The launch rule is the same.
template <class Config>
inline constexpr bool kRowsOnce = (Config::kFormat() == QuantizedFormat::fp8) &&
                                  (Config::kScaling() == Scaling::token);

// Grid y goes on where x ends.
template <class Config>
FOURGE_INLINE int64 activation_cta() {
  if constexpr (kRowsOnce<Config>) {
    return static_cast<int64>(static_cast<uint64>(blockIdx.y) * gridDim.x + blockIdx.x);
  }
  return blockIdx.x;
}

// Whether a warp takes each of many rows: with a scale of the row's own, and where that was measured to be faster
// though the next row is not asked for ahead. The launch rule is the same, and gives a row 32 threads then only.
template <class Config>
constexpr bool kTakesWarps = Config::kRounding() == Rounding::rounded &&
                             (Config::kScaling() == Scaling::token
                                  ? Config::kLayout() == ScaleLayout::linear
                                  : Config::kFormat() == QuantizedFormat::nvfp4);

template <class Config>
struct ActivationSizes {
  enum : int64 { kHalves = kIsGated<Config::kActivation()> ? 2 : 1 };
  __device__ static constexpr QuantizedFormat kFormat() { return Config::kFormat(); }
  enum : int64 {
    kBlockBytes = kFormat() == QuantizedFormat::none    ? 32
                  : kFormat() == QuantizedFormat::nvfp4 ? 8
                                                        : 16
  };
};

// The scale of a row's block; beyond the row it is zero and only stored as padding.
template <class Config>
FOURGE_INLINE void store_activation_scale(uint8* scales, int64 row, uint32 block, uint32 columns,
                                          uint32 scale) {
  constexpr bool kMx = Config::kFormat() == QuantizedFormat::mxfp8;
  if constexpr (kMx || Config::kFormat() == QuantizedFormat::nvfp4) {
    const uint32 own = kMx ? block / 2 : block;
    if (own < columns && (!kMx || block % 2 == 0)) {
      store(scales + scale_offset<Config::kLayout()>(row, own, columns), static_cast<uint8>(scale));
    }
  }
}

template <class Config>
FOURGE_INLINE void moe_activation_quantize_kernel(const void* x, const void* bias, uint8* q,
                                                  uint8* scales, float* token_scales,
                                                  const float* scale, const int64* expert_rows,
                                                  float scale_value, float limit, float alpha,
                                                  float beta, int64 rows, int64 cols,
                                                  int64 experts) {
  constexpr bool kToken = Config::kScaling() == Scaling::token;
  constexpr bool kExpert = Config::kScaling() == Scaling::expert;
  constexpr bool kTiled = ExpertRows<Config>::kTiled;
  using Sizes = ActivationSizes<Config>;
  __shared__ SharedArray<uint32, 64> scratch;

  wait_for_predecessor<Config>();
  ExpertRows<Config> place{expert_rows, experts, rows};
  if (expert_rows != nullptr) {
    const int64 end = load(expert_rows + experts);
    place.rows = end >= 0 && end <= rows ? end : -1;
  }
  const int64 scale_columns = padded_columns<Config::kLayout()>(unit_scale_columns<Config>(cols));
  if constexpr (kTiled) {
    place.store_padding(scales, scale_columns);
  }
  const ActivationFactors activation{limit, alpha, beta};
  const float given = !kToken && !kExpert && scale != nullptr ? load(scale) : scale_value;
  UnitFactors<Config> factors = given_factors<Config>(kToken || kExpert ? 1.0f : given);
  if constexpr (kTakesWarps<Config>) {
    const uint32 blocks = static_cast<uint32>(cols >> 4);
    if (blockDim.x < blocks && blockDim.x == 32) {
      const WarpRow<Config> warp(blocks);
      const int64 row = activation_cta<Config>() * blockDim.y + threadIdx.y;
      if (row >= place.rows) {
        return;
      }
      const char* const x_row = static_cast<const char*>(x) + row * cols * (2 * Sizes::kHalves);
      uint8* const q_row = q + row * blocks * Sizes::kBlockBytes;
      if constexpr (kToken) {
        const uint32 largest = warp_max(warp.activate(x_row, activation));
        float decode = 0.0f;
        factors = token_factors<Config>(float_from_bits(largest), scale_value, decode);
        if (threadIdx.x == 0) {
          store(token_scales + row, decode);
        }
        warp.quantize(factors, q_row, scales + row * blocks);
      } else {
        int64 scale_row = row;
        if constexpr (kTiled || kExpert) {
          if (expert_rows != nullptr) {
            ExpertWalk<Config> walk;
            const int64 expert = walk.move_to(row, place);
            if constexpr (kExpert) {
              factors = given_factors<Config>(load(scale + expert));
            }
            scale_row += walk.scale_shift;
          }
        }
        warp.activate_and_quantize(
            x_row, activation, factors, q_row,
            scales + scale_offset<Config::kLayout()>(scale_row, warp.lane, scale_columns));
      }
      return;
    }
  }
  const int64 each = activation_rows_each<Config>(rows);
  const bool prefetches = rows >= 32768;
  const uint32 blocks = static_cast<uint32>(cols >> 4);
  ActivatedBlock<Config> block = {};
  int slot = 0;
  int64 row = (activation_cta<Config>() * blockDim.y + threadIdx.y) * each;
#pragma unroll 1
  while (row < place.rows) {
    uint32 left = static_cast<uint32>(place.rows - row < each ? place.rows - row : each);
    ExpertWalk<Config> walk;
#pragma unroll 1
    do {
      if constexpr (kTiled || kExpert) {
        if (expert_rows != nullptr && row >= walk.end) {
          const int64 expert = walk.move_to(row, place);
          if constexpr (kExpert) {
            factors = given_factors<Config>(load(scale + expert));
          }
        }
      }
      const char* bias_row = static_cast<const char*>(bias);
      if (bias != nullptr && expert_rows != nullptr) {
        bias_row += place.expert_of(row) * cols * (2 * Sizes::kHalves);
      }
      const char* const x_row = static_cast<const char*>(x) + row * cols * (2 * Sizes::kHalves);
      uint8* const q_row = q + row * blocks * Sizes::kBlockBytes;
      // With a scale of its own the row's blocks are computed for its maximum first, and again from the
      // last, which is still held. One loop, since what computes a block is long. What is beyond the row
      // works on its first block and stores nothing.
      uint32 largest = 0;
      bool counting = kToken;
      uint32 first = 0;
#pragma unroll 1
      while (true) {
        const uint32 own = first + threadIdx.x;
        const bool inside = own < blocks;
        if (prefetches && left > 1 && first == 0) {
          const uint64 half = static_cast<uint64>(blocks) * 32;
          const char* const next = x_row + Sizes::kHalves * half + (inside ? own : 0) * 32ull;
          prefetch_to_l2(next);
          if constexpr (Sizes::kHalves == 2) {
            prefetch_to_l2(next + half);
          }
        }
        activate_block<Config>({x_row, bias_row, inside ? own : 0, blocks}, activation, block);
        if (counting) {
          largest = max_u32(largest, block.magnitude());
          if (blocks - first > blockDim.x) {
            first += blockDim.x;
            continue;
          }
          float decode = 0.0f;
          const float maximum = float_from_bits(cta_max_alternating(largest, scratch, slot));
          factors = token_factors<Config>(maximum, scale_value, decode);
          if (threadIdx.x == 0) {
            store(token_scales + row, decode);
          }
          counting = false;
          slot ^= 1;
        }
        const uint32 byte = quantize_activated<Config>(
            block, q_row + static_cast<uint64>(own) * Sizes::kBlockBytes, inside, factors);
        store_activation_scale<Config>(scales, row + walk.scale_shift, own,
                                       static_cast<uint32>(scale_columns), inside ? byte : 0);
        if (kToken ? first == 0 : blocks - first <= blockDim.x) {
          break;
        }
        first = kToken ? first - blockDim.x : first + blockDim.x;
      }
      ++row;
    } while (--left != 0);
    if constexpr (kRowsOnce<Config>) {
      return;
    }
    row += (static_cast<int64>(gridDim.x) * blockDim.y - 1) * each;
  }
}

}  // namespace fourge_device
