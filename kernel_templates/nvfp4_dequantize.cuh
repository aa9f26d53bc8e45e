// nvfp4_dequantize: see fourge/dequantize.hpp for the contract.
#pragma once

#include "device/dequantize_formats.cuh"
#include "device/dequantize_rows.cuh"

namespace fourge_device {

// The factor of a block: its scale times the decode scale of the tensor or the row.
template <class Config>
struct Nvfp4DecodeFactor {
  enum : bool {
    kPerRow = Config::kScaleMode() == ScaleMode::row || Config::kScaleMode() == ScaleMode::row_inv
  };
  enum : bool {
    kInverse =
        Config::kScaleMode() == ScaleMode::tensor_inv || Config::kScaleMode() == ScaleMode::row_inv
  };

  const float* scales;
  float tensor;

  FOURGE_INLINE Nvfp4DecodeFactor(const float* global_scale, float value)
      : scales(global_scale),
        tensor(kPerRow ? 0.0f
                       : decode_scale(global_scale == nullptr ? value : load(global_scale))) {}

  FOURGE_INLINE float operator()(uint32 scale, int64 row) const {
    if constexpr (kPerRow) {
      return mul_rn(decode_e4m3(scale), decode_scale(load(scales + row)));
    } else {
      return mul_rn(decode_e4m3(scale), tensor);
    }
  }

  static FOURGE_INLINE float decode_scale(float given) { return kInverse ? rcp_rn(given) : given; }
};

template <class Config>
FOURGE_INLINE void nvfp4_dequantize_kernel(const uint8* codes, const uint8* scales, void* out,
                                           const float* global_scale, float global_scale_value,
                                           int64 rows, int64 cols, int64 batches) {
  wait_for_predecessor<Config>();
  const Nvfp4DecodeFactor<Config> factor(global_scale, global_scale_value);
  dequantize_rows<Config, E2m1Codes<16>>(codes, scales, out, {rows, cols, cols, batches}, factor);
}

}  // namespace fourge_device
