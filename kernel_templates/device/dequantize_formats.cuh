// The element formats of dequantize_rows().
#pragma once

#include "device/decode.cuh"
#include "device/global_memory.cuh"
#include "device/ue8m0.cuh"

namespace fourge_device {

template <int kElementsOfBlock>
struct E2m1Codes {
  enum : int64 { kBlock = kElementsOfBlock };
  using Codes = uint32;

  static FOURGE_INLINE Codes read(const uint8* codes, int64 unit) {
    return load(reinterpret_cast<const uint32*>(codes) + unit);
  }
  static FOURGE_INLINE void decode(Codes codes, float (&values)[8]) {
    decode_e2m1x8(codes, values);
  }
};

template <class Config, int kElementsOfBlock>
struct E4m3Codes {
  enum : int64 { kBlock = kElementsOfBlock };
  using Codes = uint64;

  static FOURGE_INLINE Codes read(const uint8* codes, int64 unit) {
    return load(reinterpret_cast<const uint64*>(codes) + unit);
  }
  static FOURGE_INLINE void decode(Codes codes, float (&values)[8]) {
    const uint32 words[2] = {static_cast<uint32>(codes), static_cast<uint32>(codes >> 32)};
    decode_e4m3x8<Config>(words, values);
  }
};

// The factor of an MX block is its scale.
struct Ue8m0Factor {
  FOURGE_INLINE float operator()(uint32 scale, int64) const { return decode_ue8m0(scale); }
};

}  // namespace fourge_device
