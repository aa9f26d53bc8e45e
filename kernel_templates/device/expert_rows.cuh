// Where experts' rows lie one after another, and their scales in tiles of their own.
#pragma once

#include "device/expert_padding.cuh"
#include "device/warp_search.cuh"

namespace fourge_device {

// One matrix without expert_rows.
template <class Config>
struct ExpertRows {
  __device__ static constexpr ScaleLayout kLayout() { return Config::kLayout(); }
  enum : bool { kTiled = kLayout() != ScaleLayout::linear };
  const int64* starts;
  int64 experts;
  int64 rows;  // in use; below zero: nothing is written

  // The expert of a row; experts without rows are passed over.
  FOURGE_INLINE int64 expert_of(int64 row) const {
    return warp_last_not_above(experts, row, [&](int64 i) { return load(starts + i); });
  }
  // Zero scales in the rows behind each expert's, which the CTAs share out.
  FOURGE_INLINE void store_padding(uint8* scales, int64 columns) const {
    const int64 thread = threadIdx.y * blockDim.x + threadIdx.x;
    const int64 threads = blockDim.x * blockDim.y;
    if (rows < 0) {
      return;
    }
    if (starts != nullptr) {
      store_expert_padding<kLayout()>(scales, starts, experts, columns, blockIdx.x, gridDim.x,
                                      thread, threads);
    } else if (blockIdx.x == 0) {
      store_zero_scale_rows<kLayout()>(scales, rows, padded_rows<kLayout()>(rows), columns, thread,
                                       threads);
    }
  }
};

// Where the scales of rows lie that are asked for in ascending order. From row `end` on, which is 0 at first,
// move_to() has to be called.
template <class Config>
struct ExpertWalk {
  int64 end = 0;          // of the expert's rows
  int64 scale_shift = 0;  // from a row to the row of its scales

  // Returns the expert.
  FOURGE_INLINE int64 move_to(int64 row, const ExpertRows<Config>& place) {
    const int64 expert = place.expert_of(row);
    end = load(place.starts + expert + 1);
    if constexpr (ExpertRows<Config>::kTiled) {
      const int64 start = load(place.starts + expert);
      scale_shift = expert_region<Config::kLayout()>(expert, start) - start;
    }
    return expert;
  }
};

}  // namespace fourge_device
