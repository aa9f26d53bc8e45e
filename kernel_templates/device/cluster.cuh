// Thread-block clusters (sm_90 and later): CTAs that run at the same time and reach each other's shared
// memory. All threads of all its CTAs call what is below.
#pragma once

#include "device/reduce.cuh"

namespace fourge_device {

#if defined(FOURGE_HOST_EXECUTION)

FOURGE_INLINE uint32 cluster_rank() { return fourge_host::context()->cluster_rank; }
FOURGE_INLINE uint32 cluster_size() { return fourge_host::context()->cluster_size; }
FOURGE_INLINE void cluster_arrive() {}
FOURGE_INLINE void cluster_arrive_relaxed() {}
FOURGE_INLINE void cluster_wait() { fourge_host::cluster_barrier(); }
FOURGE_INLINE uint32* cluster_inbox() {
  return static_cast<uint32*>(fourge_host::dynamic_shared());
}
FOURGE_INLINE void cluster_store(uint32* address, uint32 rank, uint32 value) {
  fourge_host::cluster_store(address, rank, value);
}
FOURGE_INLINE uint32 load_inbox(const uint32* address) {
  fourge_host::check_shared(address, sizeof(uint32), 0);
  return *address;
}

#else

FOURGE_INLINE uint32 cluster_rank() {
  uint32 r;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
  return r;
}
FOURGE_INLINE uint32 cluster_size() {
  uint32 r;
  asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(r));
  return r;
}
// The cluster's barrier: what was stored before one's arrival is there after all others' wait.
FOURGE_INLINE void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
// Orders nothing, and does not wait for what is on its way.
FOURGE_INLINE void cluster_arrive_relaxed() {
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
}
FOURGE_INLINE void cluster_wait() {
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
// The launch asks for its bytes.
FOURGE_INLINE uint32* cluster_inbox() {
  extern __shared__ uint32 fourge_inbox[];
  return fourge_inbox;
}
// To the same place in another CTA's shared memory.
FOURGE_INLINE void cluster_store(uint32* address, uint32 rank, uint32 value) {
  const uint32 here = static_cast<uint32>(__cvta_generic_to_shared(address));
  asm volatile(
      "{.reg .b32 there; mapa.shared::cluster.u32 there, %0, %1; "
      "st.shared::cluster.u32 [there], %2;}" ::"r"(here),
      "r"(rank), "r"(value)
      : "memory");
}
FOURGE_INLINE uint32 load_inbox(const uint32* address) { return *address; }

#endif

// The largest of the CTAs' values: each stores its own into the inbox (a word for each CTA) of all. The
// CTAs must have arrived once more than they have waited, which says that all have begun and that nobody
// reads an inbox any more. The value of a CTA is the same in all of its threads.
FOURGE_INLINE uint32 cluster_max(uint32 value) {
  uint32* const inbox = cluster_inbox();
  const uint32 size = cluster_size();
  cluster_wait();
  if (threadIdx.x < size) {
    cluster_store(inbox + cluster_rank(), threadIdx.x, value);
  }
  cluster_arrive();
  cluster_wait();
  const uint32 lane = threadIdx.x & 31u;
  return warp_max(lane < size ? load_inbox(inbox + lane) : 0u);
}

}  // namespace fourge_device
