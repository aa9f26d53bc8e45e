// mxfp4_quantize: see fourge/mx_quantize.hpp for the contract.
#pragma once

#include "device/e2m1.cuh"
#include "device/mx_rows.cuh"

namespace fourge_device {

template <class Config>
struct Mxfp4Format {
  static constexpr int kWords = 4;

  static FOURGE_INLINE uint32 quantize(const Block32& block, uint32 (&codes)[kWords]) {
    const Block32Scale scale = scale_of<Config>(block, 0.16666667163372040f);  // RN(1/6)
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      const auto& w = block.half[i / 2].w;
      const int first = i % 2 * 4;
      codes[i] = encode_e2m1x8<Config>(w[first], w[first + 1], w[first + 2], w[first + 3], scale.o);
    }
    if constexpr (!Config::kCvtE2m1) {
      if (unlikely(scale.unusual)) {
        repair(block, scale.o, codes);
      }
    }
    return scale.byte;
  }

 private:
  static FOURGE_INLINE void repair(const Block32& block, float o, uint32 (&codes)[kWords]) {
    uint32 first[2] = {codes[0], codes[1]};
    uint32 second[2] = {codes[2], codes[3]};
    repair_nan_codes<Config>(first, block.half[0].w, o);
    repair_nan_codes<Config>(second, block.half[1].w, o);
    codes[0] = first[0];
    codes[1] = first[1];
    codes[2] = second[0];
    codes[3] = second[1];
  }
};

template <class Config>
FOURGE_INLINE void mxfp4_quantize_kernel(const void* x, uint8* codes, uint8* scales, int64 rows,
                                         int64 cols) {
  quantize_mx_rows<Config, Mxfp4Format<Config>>(x, codes, scales, rows, cols, cols);
}

}  // namespace fourge_device
