// mxfp4_quantize: see fourge/mx_quantize.hpp for the contract.
#pragma once

#include "device/e2m1_value.cuh"
#include "device/mx_rows.cuh"

namespace fourge_device {

// A thread a block: half a block each was up to a fifth slower, on an H200.
template <class Config>
struct Mxfp4Format {
  enum : int { kLanes = 1 };
  enum : int { kWords = 4 };
  enum : bool { kByTiles = Config::kLayout() != ScaleLayout::linear };

  static FOURGE_INLINE uint32 quantize(const Block32<kLanes>& block, uint32 (&codes)[kWords]) {
    const Block32Scale scale = scale_of<Config>(block, 0.16666667163372040f);  // RN(1/6)
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      const uint32* const w = block.part[i / 2].w + 4 * (i % 2);
      if constexpr (Config::kCvtE2m1()) {
        codes[i] = encode_e2m1x8<Config>(w[0], w[1], w[2], w[3], scale.o);
      } else if constexpr (Config::kInput() == ElementType::bf16) {
        codes[i] = encode_e2m1x8_by_power(w[0], w[1], w[2], w[3], scale.o);
      } else {
        // Below 7: the scale is at least a sixth of the largest magnitude but for one rounding.
        codes[i] = encode_e2m1x8_below_7<Config>(w[0], w[1], w[2], w[3], scale.o);
      }
    }
    if constexpr (!Config::kCvtE2m1()) {
      // Scales so far from 1 that a product on the way may underflow; with byte 0 all products are 0.
      const bool extreme = scale.byte != 0 && scale.byte - 27u > 200u;
      if (unlikely(scale.unusual || extreme)) {
        quantize_unusual(block, scale.o, codes);
      }
    }
    return scale.byte;
  }

 private:
  // Any block; one copy of the code, to which the words move up.
  static FOURGE_INLINE void quantize_unusual(const Block32<kLanes>& block, float o,
                                             uint32 (&codes)[kWords]) {
    Block32<kLanes> rest = block;
#pragma unroll 1
    for (int i = 0; i < block.kParts; ++i) {
      uint32 two[2] = {};
      encode_any_elements<Config>(rest.part[0].w, o, two);
      codes[0] = codes[2];
      codes[1] = codes[3];
      codes[2] = two[0];
      codes[3] = two[1];
      rest.part[0] = rest.part[1];
    }
  }
};

template <class Config>
FOURGE_INLINE void mxfp4_quantize_kernel(const void* x, uint8* codes, uint8* scales, int64 rows,
                                         int64 cols) {
  quantize_mx_rows<Config, Mxfp4Format<Config>>(x, codes, scales, rows, cols, cols);
}

}  // namespace fourge_device
