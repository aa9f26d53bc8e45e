// A thread's part of a block of 32 elements to E4M3 codes, and the block's UE8M0 scale.
#pragma once

#include "device/block32.cuh"
#include "device/e4m3_words.cuh"

namespace fourge_device {

template <class Config>
struct Mxfp8Format {
  enum : int { kLanes = Config::kTokensPerCta() == 1 ? 2 : 1 };
  enum : int { kWords = 8 / kLanes };
  enum : bool { kByTiles = false };

  static FOURGE_INLINE uint32 quantize(const Block32<kLanes>& block, uint32 (&codes)[kWords]) {
    const Block32Scale scale = scale_of<Config>(block, 0.0022321429569274187f);  // RN(1/448)
#pragma unroll
    for (int i = 0; i < block.kParts; ++i) {
      uint32 words[4];
      encode_e4m3x16<Config, E4m3Nan::largest>(block.part[i], scale.o, words);
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        codes[4 * i + k] = words[k];
      }
    }
    return scale.byte;
  }
};

}  // namespace fourge_device
