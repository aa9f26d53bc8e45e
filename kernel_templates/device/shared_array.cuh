// An array in shared memory. Use: `__shared__ SharedArray<float, 32> name;`. On the host each
// access is checked: a read of what no thread wrote is an error.
#pragma once

#include "device/types.cuh"

namespace fourge_device {

template <class T, int kCount>
struct SharedArray {
  T items[kCount];

  FOURGE_INLINE T get(int i) const {
#if defined(FOURGE_HOST_EXECUTION)
    fourge_host::check_shared(&items[i], sizeof(T), 0);
#endif
    return items[i];
  }
  FOURGE_INLINE void set(int i, T value) {
#if defined(FOURGE_HOST_EXECUTION)
    fourge_host::check_shared(&items[i], sizeof(T), 1);
#endif
    items[i] = value;
  }
};

}  // namespace fourge_device
