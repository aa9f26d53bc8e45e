// Copies from device to shared memory that go on while the thread works. Each belongs to the thread that
// asks for it, in groups; what has arrived is visible to that thread alone.
#pragma once

#include "device/global_memory.cuh"

namespace fourge_device {

// 16 bytes or a float, aligned on both sides.
FOURGE_INLINE void copy_async(Words4* to, const void* from) {
#if defined(FOURGE_HOST_EXECUTION)
  fourge_host::check_global(from, 16, 16, 0);
  fourge_host::check_shared(to, 16, 1);
  *to = *static_cast<const Words4*>(from);
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<uint32>(__cvta_generic_to_shared(to))),
               "l"(from)
               : "memory");
#endif
}
FOURGE_INLINE void copy_async(float* to, const float* from) {
#if defined(FOURGE_HOST_EXECUTION)
  fourge_host::check_global(from, 4, 4, 0);
  fourge_host::check_shared(to, 4, 1);
  *to = *from;
#else
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(
                   static_cast<uint32>(__cvta_generic_to_shared(to))),
               "l"(from)
               : "memory");
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
