// A thread takes 16 columns of a row. Grid x runs over the columns, y strides over the rows.
#pragma once

#include "device/e4m3.cuh"
#include "device/packed16.cuh"
#include "device/store_words.cuh"
#include "scale_of_row.cuh"

namespace scaled_cast {

using namespace fourge_device;

template <class Config>
FOURGE_INLINE void scaled_cast_kernel(const void* x, unsigned char* codes, const float* row_scales,
                                      float scale, long long rows, long long cols) {
  using Input = Packed16<Config::kInput()>;
  const int64 units = cols / 16;
  const int64 unit = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (unit >= units) {
    return;
  }
  wait_for_predecessor<Config>();
  for (int64 row = blockIdx.y; row < rows; row += gridDim.y) {
    const int64 at = row * units + unit;
    const float factor = scale_of_row<Config>(scale, row_scales, row);
    const Words8 in = load_words8<Config::kLoad256()>(static_cast<const char*>(x) + at * 32);
    uint32 out[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      out[i] = 0;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint32 pair = in.w[2 * i + half];
        const uint32 two = encode_e4m3_pair<Config>(mul_rn(Input::low(pair), factor),
                                                    mul_rn(Input::high(pair), factor));
        out[i] |= two << (16 * half);
      }
    }
    store_words(codes + at * 16, out);
  }
}

}  // namespace scaled_cast
