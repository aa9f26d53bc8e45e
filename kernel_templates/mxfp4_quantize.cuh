// mxfp4_quantize: see fourge/mx_quantize.hpp for the contract.
#pragma once

#include "device/e2m1.cuh"
#include "device/mx_rows.cuh"

namespace fourge_device {

// A thread a block: half a block each was up to a fifth slower, on an H200.
template <class Config>
struct Mxfp4Format {
  static constexpr int kLanes = 1;
  static constexpr int kWords = 4;

  static FOURGE_INLINE uint32 quantize(const Block32<kLanes>& block, uint32 (&codes)[kWords]) {
    const Block32Scale scale = scale_of<Config>(block, 0.16666667163372040f);  // RN(1/6)
#pragma unroll
    for (int i = 0; i < block.kParts; ++i) {
      const auto& w = block.part[i].w;
      uint32 two[2] = {encode_e2m1x8<Config>(w[0], w[1], w[2], w[3], scale.o),
                       encode_e2m1x8<Config>(w[4], w[5], w[6], w[7], scale.o)};
      if constexpr (!Config::kCvtE2m1) {
        if (unlikely(scale.unusual)) {
          repair_nan_codes<Config>(two, w, scale.o);
        }
      }
      codes[2 * i] = two[0];
      codes[2 * i + 1] = two[1];
    }
    return scale.byte;
  }
};

template <class Config>
FOURGE_INLINE void mxfp4_quantize_kernel(const void* x, uint8* codes, uint8* scales, int64 rows,
                                         int64 cols) {
  quantize_mx_rows<Config, Mxfp4Format<Config>>(x, codes, scales, rows, cols, cols);
}

}  // namespace fourge_device
