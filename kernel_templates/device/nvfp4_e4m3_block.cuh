// One NVFP4 block from E4M3 elements: they are scaled by 6/G, rounded to halves, and those are
// quantized. So codes and block scales stand for x * 6 / G.
#pragma once

#include "device/convert16.cuh"
#include "device/nvfp4_block.cuh"

namespace fourge_device {

// The halves' configuration: the variant's, with another element type.
template <class Config>
struct HalfConfig : Config {
  __device__ static constexpr ElementType kInput() { return ElementType::f16; }
};

template <class Config>
struct Nvfp4E4m3Factors {
  float g;
  float to_half;

  FOURGE_INLINE explicit Nvfp4E4m3Factors(float global_scale)
      : g(global_scale), to_half(mul_rn(6.0f, rcp_approx(global_scale))) {}
};

// The factor of the halves. A block scale that underflowed to zero gives 0.
template <class Config>
FOURGE_INLINE Nvfp4Block quantize_nvfp4_block(const Words4& x, const Nvfp4E4m3Factors<Config>& f) {
  using Half = HalfConfig<Config>;
  Words8 h;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const uint32 pair = x.w[i / 2] >> (16 * (i % 2));
    h.w[i] = pack_pair<ElementType::f16>(mul_rn(decode_e4m3(pair & 0xFFu), f.to_half),
                                         mul_rn(decode_e4m3((pair >> 8) & 0xFFu), f.to_half));
  }
  const BlockMaximum maximum = block_maximum<Half>(h);
  Nvfp4Block block = {};
  block.scale = encode_e4m3<Half>(mul_rn(f.g, mul_rn(maximum.value, kOneSixth())));
  const float scale = decode_e4m3_magnitude<Config>(block.scale);
  const float o = scale == 0.0f ? 0.0f : mul_rn(f.g, rcp_approx(scale));
  encode_block<Half>(h, o, maximum.unusual, block);
  return block;
}

}  // namespace fourge_device
