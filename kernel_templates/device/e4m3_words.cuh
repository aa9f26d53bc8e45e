// E4M3 codes of 16 packed elements of 16 bits.
#pragma once

#include "device/e4m3.cuh"
#include "device/global_memory.cuh"
#include "device/packed16.cuh"

namespace fourge_device {

// What an element becomes whose scaled value is NaN.
enum class E4m3Nan { nan, largest };

// The codes of the elements times o, four a word in their order.
template <class Config, E4m3Nan kNan>
FOURGE_INLINE void encode_e4m3x16(const Words8& x, float o, uint32 (&codes)[4]) {
  using P = Packed16<Config::kInput()>;
  const auto scaled = [o](float v) {
    const float y = mul_rn(v, o);
    return kNan == E4m3Nan::largest ? min_num(y, 448.0f) : y;
  };
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32 a = x.w[2 * i];
    const uint32 b = x.w[2 * i + 1];
    codes[i] = encode_e4m3_pair<Config>(scaled(P::low(a)), scaled(P::high(a))) |
               (encode_e4m3_pair<Config>(scaled(P::low(b)), scaled(P::high(b))) << 16);
  }
}

}  // namespace fourge_device
