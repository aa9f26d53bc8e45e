// Which factor the elements of a row are multiplied by.
#pragma once

#include "device/global_memory.cuh"

namespace scaled_cast {

enum class Scale { tensor, row };

template <class Config>
FOURGE_INLINE float scale_of_row(float scale, const float* row_scales, long long row) {
  if constexpr (Config::kScale() == Scale::row) {
    return fourge_device::load(row_scales + row);
  }
  return scale;
}

}  // namespace scaled_cast
