// A launch's work as items in an order, without knowing which CTAs run at the same time: CTAs draw items,
// one after the other, and whoever waits for the items of an earlier stage knows that CTAs that run have all
// of them. The counters are zero before a launch, and again when its last CTA is done.
#pragma once

#include "device/global_memory.cuh"
#include "device/shared_array.cuh"

namespace fourge_device {

#if defined(FOURGE_HOST_EXECUTION)

FOURGE_INLINE uint64 load_acquire(const uint64* p) {
  uint64 value;
  fourge_host::system_load(p, &value, sizeof(value));
  return value;
}
// Also where blocks of an emulated device take turns.
FOURGE_INLINE void pause_briefly() { fourge_host::nanoseconds(); }
FOURGE_INLINE Words4 load_coherent_words4(const void* p) { return load_words4(p); }

#else

FOURGE_INLINE uint64 load_acquire(const uint64* p) {
  uint64 value;
  asm volatile("ld.acquire.gpu.global.u64 %0, [%1];" : "=l"(value) : "l"(p) : "memory");
  return value;
}
FOURGE_INLINE void pause_briefly() { asm volatile("nanosleep.u32 40;"); }
// What other CTAs of this launch stored, after WorkOrder::wait().
FOURGE_INLINE Words4 load_coherent_words4(const void* p) {
  Words4 v;
  asm volatile("ld.relaxed.gpu.global.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3])
               : "l"(p)
               : "memory");
  return v;
}

#endif

// Where the counters lie, each in a line of its own: what is drawn, what CTAs have left, and what is done of
// each stage that is waited for.
enum : int64 { kWorkCounterBytes = 128 };
enum : int { kWorkStages = 2 };
enum : int { kWorkCounters = 2 + kWorkStages };
enum : int64 { kWorkOrderBytes = kWorkCounters * kWorkCounterBytes };

class WorkOrder {
 public:
  FOURGE_INLINE WorkOrder(uint8* counters, SharedArray<uint32, 2>& shared)
      : counters_(counters), shared_(shared) {
    ask();
  }

  // All threads of the CTA call each of these; numbers are below 2^32. What ask() drew:
  FOURGE_INLINE uint32 next() {
    slot_ ^= 1;  // of the number before threads may still read
    if (threadIdx.x == 0) {
      shared_.set(slot_, number_);
    }
    __syncthreads();
    return shared_.get(slot_);
  }
  // Draws what next() will give; once for each.
  FOURGE_INLINE void ask() {
    if (threadIdx.x == 0) {
      number_ = static_cast<uint32>(atomicAdd(counter(0), uint64{1}));
    }
  }

  // After next(): so many items of the stage, which came before it, are done.
  FOURGE_INLINE void report(int stage, uint32 count) const {
    if (threadIdx.x == 0 && count != 0) {
      __threadfence();
      atomicAdd(counter(2 + stage), static_cast<uint64>(count));
    }
  }
  // Until so many of the stage's items are done. What was stored for them can be read, though not through
  // load().
  FOURGE_INLINE void wait(int stage, uint32 count) const {
    if (threadIdx.x == 0) {
      while (load_acquire(counter(2 + stage)) < count) {
        pause_briefly();
      }
    }
    __syncthreads();
  }
  // The CTA draws and waits no more.
  FOURGE_INLINE void leave() const {
    if (threadIdx.x == 0 && atomicAdd(counter(1), uint64{1}) + 1 == gridDim.x) {
      for (int i = 0; i < kWorkCounters; ++i) {
        store(counter(i), uint64{0});
      }
    }
  }

 private:
  FOURGE_INLINE uint64* counter(int i) const {
    return reinterpret_cast<uint64*>(counters_ + i * kWorkCounterBytes);
  }

  uint8* counters_;
  SharedArray<uint32, 2>& shared_;
  uint32 number_ = 0;
  int slot_ = 0;
};

}  // namespace fourge_device
