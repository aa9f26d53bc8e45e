// mxfp8_quantize: see fourge/mx_quantize.hpp for the contract.
#pragma once

#include "device/e4m3_words.cuh"
#include "device/mx_rows.cuh"

namespace fourge_device {

template <class Config>
struct Mxfp8Format {
  static constexpr int kWords = 8;

  static FOURGE_INLINE uint32 quantize(const Block32& block, uint32 (&codes)[kWords]) {
    const Block32Scale scale = scale_of<Config>(block, 0.0022321429569274187f);  // RN(1/448)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      uint32 words[4];
      encode_e4m3x16<Config, E4m3Nan::largest>(block.half[i], scale.o, words);
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        codes[4 * i + k] = words[k];
      }
    }
    return scale.byte;
  }
};

template <class Config>
FOURGE_INLINE void mxfp8_quantize_kernel(const void* x, uint8* data, uint8* scales, int64 rows,
                                         int64 cols, int64 padded_cols) {
  quantize_mx_rows<Config, Mxfp8Format<Config>>(x, data, scales, rows, cols, padded_cols);
}

}  // namespace fourge_device
