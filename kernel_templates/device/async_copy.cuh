// Copies from device to shared memory that go on while the thread works. Each belongs to the thread that
// asks for it, in groups; what has arrived is visible to that thread alone.
#pragma once

#include "device/global_memory.cuh"

namespace fourge_device {

// kBytes, 4 or 16, aligned to them on both sides.
template <int kBytes>
FOURGE_INLINE void copy_async(void* to, const void* from) {
#if defined(FOURGE_HOST_EXECUTION)
  fourge_host::check_global(from, kBytes, kBytes, 0);
  fourge_host::check_shared(to, kBytes, 1);
  for (int i = 0; i < kBytes / 4; ++i) {
    static_cast<uint32*>(to)[i] = static_cast<const uint32*>(from)[i];
  }
#else
  const uint32 address = static_cast<uint32>(__cvta_generic_to_shared(to));
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(address), "l"(from) : "memory");
  }
#endif
}

// Ends a group, which may be empty.
FOURGE_INLINE void end_copy_group() {
#if !defined(FOURGE_HOST_EXECUTION)
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Until all but the latest kLater groups have arrived.
template <int kLater>
FOURGE_INLINE void wait_for_copies() {
#if !defined(FOURGE_HOST_EXECUTION)
  asm volatile("cp.async.wait_group %0;" ::"n"(kLater) : "memory");
#endif
}

}  // namespace fourge_device
