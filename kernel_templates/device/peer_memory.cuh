// Memory that other devices of the host write to or read while this kernel runs, and the control memory of
// one device that all its CTAs use. Nothing here goes through a cache that could be stale.
#pragma once

#include "device/global_memory.cuh"

namespace fourge_device {

// Eight elements, as they travel.
using PeerVector = Words4;

#if defined(FOURGE_HOST_EXECUTION)

FOURGE_INLINE void store_peer(void* p, const PeerVector& v) {
  fourge_host::system_store(p, &v, sizeof(v), 0);
}
FOURGE_INLINE PeerVector load_peer(const void* p) {
  PeerVector v;
  fourge_host::system_load(p, &v, sizeof(v));
  return v;
}
FOURGE_INLINE void store_peer_release(void* p, uint64 value) {
  fourge_host::system_store(p, &value, sizeof(value), 1);
}
FOURGE_INLINE uint64 load_peer_acquire(const void* p) {
  uint64 value;
  fourge_host::system_load(p, &value, sizeof(value));
  return value;
}
template <class T>
FOURGE_INLINE T load_control(const T* p) {
  return fourge_host::load_control(p);
}
template <class T>
FOURGE_INLINE void store_control(T* p, T value) {
  fourge_host::store_control(p, value);
}
FOURGE_INLINE uint64 device_nanoseconds() { return fourge_host::nanoseconds(); }
// Looks in vain for one at the clock. There, others go on while this thread looks at it.
enum : uint32 { kLooksForClock = 1 };
FOURGE_INLINE void prefetch_line(const void*) {}

#else

// In no order with others; each word by itself is whole.
FOURGE_INLINE void store_peer(void* p, const PeerVector& v) {
  asm volatile("st.relaxed.sys.global.v4.u32 [%0], {%1, %2, %3, %4};"
               :
               : "l"(p), "r"(v.w[0]), "r"(v.w[1]), "r"(v.w[2]), "r"(v.w[3])
               : "memory");
}
FOURGE_INLINE PeerVector load_peer(const void* p) {
  PeerVector v;
  asm volatile("ld.relaxed.sys.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3])
               : "l"(p)
               : "memory");
  return v;
}
// After all that this thread stored, and that other threads of the CTA stored before a barrier.
FOURGE_INLINE void store_peer_release(void* p, uint64 value) {
  asm volatile("st.release.sys.global.u64 [%0], %1;" : : "l"(p), "l"(value) : "memory");
}
FOURGE_INLINE uint64 load_peer_acquire(const void* p) {
  uint64 value;
  asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(value) : "l"(p) : "memory");
  return value;
}
template <class T>
FOURGE_INLINE T load_control(const T* p) {
  return *static_cast<const volatile T*>(p);
}
template <class T>
FOURGE_INLINE void store_control(T* p, T value) {
  *static_cast<volatile T*>(p) = value;
}
enum : uint32 { kLooksForClock = 16 };
FOURGE_INLINE uint64 device_nanoseconds() {
  uint64 now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}
// Into the second-level cache.
FOURGE_INLINE void prefetch_line(const void* p) {
  asm volatile("prefetch.global.L2 [%0];" : : "l"(p));
}

#endif

}  // namespace fourge_device
