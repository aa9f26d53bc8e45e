// row_amax: see fourge/amax.hpp for the contract.
//
// kThreadsPerRow threads take a row: a warp of a CTA of four, or the whole CTA. Grid x strides over
// the rows, or over the entries of the row map.
#pragma once

#include "device/magnitude.cuh"
#include "device/reduce.cuh"

namespace fourge_device {

template <class Config>
FOURGE_INLINE void row_amax_kernel(const void* x, float* amax, const int* row_map, float scale,
                                   int64 rows, int64 cols, int64 mapped_rows) {
  using Elements = Magnitude<Config::kInput()>;
  constexpr int kThreads = Config::kThreadsPerRow();
  const int64 row_chunks = cols / Elements::kElements;
  const int64 count = row_map == nullptr ? rows : mapped_rows;
  const int64 rows_of_cta = blockDim.x / kThreads;
  const int64 lane = threadIdx.x % kThreads;

  wait_for_predecessor<Config>();
  for (int64 entry = blockIdx.x * rows_of_cta + threadIdx.x / kThreads; entry < count;
       entry += gridDim.x * rows_of_cta) {
    const int64 row = row_map == nullptr ? entry : static_cast<int64>(load(row_map + entry));
    // The same for all threads that share the row, so all or none of them meet below.
    if (row < 0 || row >= rows) {
      continue;
    }
    const char* const chunks = static_cast<const char*>(x) + row * row_chunks * 32;
    uint32 bits = largest_magnitude<Config>(chunks, lane, kThreads, row_chunks);
    if constexpr (kThreads == 32) {
      bits = warp_max(bits);
    } else {
      __shared__ SharedArray<uint32, 32> scratch;
      bits = cta_max(bits, scratch);
    }
    if (lane == 0) {
      // Rounding is monotone, so the largest product is the largest magnitude's; infinity times 0
      // counts for nothing, as every NaN.
      store(amax + row, max_num(mul_rn(Elements::value(bits), absolute(scale)), 0.0f));
    }
  }
}

}  // namespace fourge_device
