// Quantization of a thread's block of 16 values: one NVFP4 block, half an MXFP8 block (the other half has the lane
// beside it), or FP8 with a given scale. A warp's codes are neighbours in memory then.
#pragma once

#include "device/unit_quantize.cuh"

namespace fourge_device {

struct QuantizedBlock {
  uint32 w[4];   // NVFP4 has two
  uint32 scale;  // NVFP4 and MXFP8
};

// The largest magnitude, NaN skipped.
FOURGE_INLINE float block_magnitude(const float (&v)[16]) {
  float largest = 0.0f;
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    largest = max_num(largest, absolute(v[i]));
  }
  return largest;
}

// The larger of two neighbouring lanes' values, which are not NaN. All lanes of the warp call.
FOURGE_INLINE float pair_max(float value) {
  return max_num(value, __shfl_xor_sync(0xFFFFFFFFu, value, 1));
}

// Values that no 16-bit type holds, or other formats than NVFP4. MXFP8: all lanes of the warp call.
template <class Config>
FOURGE_INLINE QuantizedBlock quantize_values(const float (&v)[16], const UnitFactors<Config>& f) {
  QuantizedBlock block = {};
  if constexpr (Config::kFormat() == QuantizedFormat::nvfp4) {
    const Nvfp4Block one = quantize_nvfp4_floats<Config>(v, f.nvfp4);
    block.w[0] = one.codes[0];
    block.w[1] = one.codes[1];
    block.scale = one.scale;
  } else {
    constexpr bool kMx = Config::kFormat() == QuantizedFormat::mxfp8;
    float o = f.fp8;
    if constexpr (kMx) {
      const float amax = pair_max(block_magnitude(v));
      block.scale = encode_ue8m0_up<Config>(mul_rn(amax, 0.0022321429569274187f));  // RN(1/448)
      o = block.scale == 0 ? 0.0f : ue8m0_reciprocal(block.scale);
    }
    // In MXFP8 a NaN becomes the largest number.
    const auto scaled = [o](float value) {
      const float y = mul_rn(value, o);
      return kMx ? min_num(y, 448.0f) : y;
    };
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      block.w[i] = encode_e4m3_pair<Config>(scaled(v[4 * i]), scaled(v[4 * i + 1])) |
                   (encode_e4m3_pair<Config>(scaled(v[4 * i + 2]), scaled(v[4 * i + 3])) << 16);
    }
  }
  return block;
}

// Where a row's codes go and its scales, for a thread whose blocks have its lane's number but for a multiple of 32.
// Scales of blocks beyond the row are zero and are stored in the padding of tiled layouts.
template <class Config>
struct BlockPlaces {
  enum : bool { kNvfp4 = Config::kFormat() == QuantizedFormat::nvfp4 };
  enum : bool { kMx = Config::kFormat() == QuantizedFormat::mxfp8 };
  enum : bool { kLinear = Config::kLayout() == ScaleLayout::linear };
  enum : uint32 { kCodeBytes = kNvfp4 ? 8 : 16 };
  // From a scale to that 32 further, over 32: a tile has four of a row.
  enum : uint32 { kScaleBytes = kScaleStep<Config::kLayout()> };

  uint8* codes;  // of block 0
  uint8* scales;
  int padded_blocks;

  FOURGE_INLINE BlockPlaces() : codes(nullptr), scales(nullptr), padded_blocks(0) {}
  // row: the number of its first element. columns: of scales, with padding. lane: of the thread.
  FOURGE_INLINE BlockPlaces(uint8* q, int64 row, uint8* all_scales, int64 index, int64 columns,
                            int lane)
      : codes(kept(q + row / (kNvfp4 ? 2 : 1))) {
    if constexpr (kNvfp4 || kMx) {
      const int scale = scale_of(lane);
      scales = kept(all_scales + scale_offset<Config::kLayout()>(index, scale, columns) -
                    scale * static_cast<int64>(kScaleBytes));
      padded_blocks = static_cast<int>(columns) * (kMx ? 2 : 1);
    }
  }

  FOURGE_INLINE void store_codes(int block, const QuantizedBlock& result) const {
    uint8* const to = advance(codes, static_cast<uint32>(block), kCodeBytes);
    if constexpr (kNvfp4) {
      store(reinterpret_cast<uint64*>(to), result.w[0] | (static_cast<uint64>(result.w[1]) << 32));
    } else {
      store_words(to, result.w);
    }
  }
  FOURGE_INLINE void store_scale(int block, bool inside, uint32 scale) const {
    if constexpr (kNvfp4 || kMx) {
      const bool stores = kLinear ? inside : block < padded_blocks;
      if (stores && (!kMx || (block & 1) == 0)) {
        store(advance(scales, static_cast<uint32>(scale_of(block)), kScaleBytes),
              static_cast<uint8>(inside ? scale : 0u));
      }
    }
  }

 private:
  static FOURGE_INLINE int scale_of(int block) { return kMx ? block / 2 : block; }
};

}  // namespace fourge_device
