// A row of activations by one warp. With a scale of the row's own what the activation gives waits in shared memory
// until the row's largest magnitude is known. Rows without a bias, of whole warps of blocks.
#pragma once

#include "device/activated_block.cuh"
#include "device/reduce.cuh"
#include "device/shared_row.cuh"

namespace fourge_device {

template <class Config>
struct WarpRow {
  __device__ static constexpr ElementType kType() { return Config::kInput(); }
  enum : bool { kGated = kIsGated<Config::kActivation()> };
  enum : uint32 { kStep = 32 * 32 };  // bytes of the warp's blocks
  enum : bool { kNvfp4 = Config::kFormat() == QuantizedFormat::nvfp4 };

  uint32 blocks;  // of the row
  uint32 lane;
  SharedBlocks results;

  FOURGE_INLINE explicit WarpRow(uint32 of_row)
      : blocks(of_row),
        lane(threadIdx.x),
        results(SharedRow(static_cast<int>(threadIdx.y * of_row * 2)),
                static_cast<int>(threadIdx.x)) {}

  // Activates the row; returns the largest magnitude, NaN skipped, as bits of a float.
  FOURGE_INLINE uint32 activate(const char* row, const ActivationFactors& factors) const {
    uint32 largest = 0;
    for_blocks(row, factors, [&](uint32 own, const ActivatedBlock<Config>& block) {
      largest = max_packed<kType()>(largest, block_max_packed<kType()>(block.words.w));
      results.put(static_cast<int>(own), block.words);
    });
    uint32 bits = bits_of_packed(largest);
    if (unlikely(bits > Packed16<kType()>::kInfinity)) {
      bits = largest_number();
    }
    return float_bits(value_of_bits<kType()>(bits));
  }

  // q, scales: of the row.
  FOURGE_INLINE void quantize(const UnitFactors<Config>& factors, uint8* q, uint8* scales) const {
    q += lane * kCodeBytes;
    scales += lane;
#pragma unroll 1
    for (uint32 own = lane; own < blocks; own += 32) {
      quantize_next(ActivatedBlock<Config>{results.get(static_cast<int>(own))}, factors, q, scales);
    }
  }

  // Both, block after block, where the scale is known.
  // q: of the row. scales: of this lane's first block.
  FOURGE_INLINE void activate_and_quantize(const char* row, const ActivationFactors& activation,
                                           const UnitFactors<Config>& factors, uint8* q,
                                           uint8* scales) const {
    q += lane * kCodeBytes;
    for_blocks(row, activation, [&](uint32, const ActivatedBlock<Config>& block) {
      quantize_next(block, factors, q, scales);
    });
  }

 private:
  enum : uint32 { kCodeBytes = kNvfp4 ? 8 : 16 };
  // From a block's scale to that of the block 32 further.
  enum : uint32 {
    kScaleStep = Config::kLayout() == ScaleLayout::linear        ? 32
                 : Config::kLayout() == ScaleLayout::tiled_128x4 ? 4096
                                                                 : 256
  };

  // One tight loop over this lane's blocks: f(block's number, block).
  template <class F>
  FOURGE_INLINE void for_blocks(const char* row, const ActivationFactors& factors,
                                const F& f) const {
    ActivationSource from{row, nullptr, lane, blocks};
    const char* gates = row + from.gate<Config>();
    const char* linears = row + from.linear<Config>();
#pragma unroll 1
    for (; from.block < blocks; from.block += 32) {
      const Words8 gate = load_words8<Config::kLoad256()>(gates);
      Words8 linear = {};
      if constexpr (kGated) {
        linear = load_words8<Config::kLoad256()>(linears);
      }
      gates += kStep;
      linears += kStep;
      ActivatedBlock<Config> block = {};
      if (unlikely(!activate_words<Config>(gate, linear, factors, block))) {
        activate_pairs<Config, false>(from, factors, block);
      }
      f(from.block, block);
    }
  }

  FOURGE_INLINE void quantize_next(const ActivatedBlock<Config>& block,
                                   const UnitFactors<Config>& factors, uint8*& q,
                                   uint8*& scales) const {
    const uint32 scale = quantize_activated<Config>(block, q, true, factors);
    if constexpr (kNvfp4) {
      store(scales, static_cast<uint8>(scale));
    }
    q += 32 * kCodeBytes;
    scales += kScaleStep;
  }

  // Of a row with NaN.
  FOURGE_INLINE uint32 largest_number() const {
    uint32 bits = 0;
#pragma unroll 1
    for (uint32 own = lane; own < blocks; own += 32) {
      bits = max_u32(bits, block_max_bits_skip_nan<kType()>(results.get(static_cast<int>(own)).w));
    }
    return bits;
  }
};

}  // namespace fourge_device
