// What stands before generated sources when a C++ compiler compiles them: CUDA's keywords, built-in
// variables and intrinsics, in terms of the library's hooks. No standard header, so that a batch
// compiles fast. Not for inclusion by the library.
//
// Limits: a thread that spins on memory waits for ever (threads switch only at barriers and warp
// operations), but for system_load() among several ranks, or of what blocks that have begun store; shared variables must be of trivial type;
// __shared__ stands alone, without static or extern (dynamic shared memory is fourge_host::dynamic_shared()).
#pragma once

#include "abi.hpp"
#include "float_ops.hpp"

#define FOURGE_HOST_EXECUTION 1

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __launch_bounds__(...)
// Not forced: that makes compiles three times as long.
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
// The blocks of a launch run one at a time on each OS thread, and a block stays on its thread. Where blocks of
// several ranks take turns, BlockRunner puts aside what was checked with check_shared().
#define __shared__ static thread_local

namespace fourge_host {

inline const Hooks* hooks = nullptr;

// Constant for as long as a kernel's thread lives.
inline const ThreadContext* context() { return hooks->context(); }
inline void* dynamic_shared() { return context()->dynamic_shared; }

// Called by the load and store primitives before each access.
inline void check_global(const void* address, unsigned long bytes, unsigned long align,
                         int is_store) {
  hooks->check_global(address, bytes, align, is_store);
}
inline void check_shared(const void* address, unsigned long bytes, int is_store) {
  hooks->check_shared(address, bytes, is_store);
}

// See device/peer_memory.cuh.
inline void system_store(void* address, const void* data, unsigned long bytes, int is_release) {
  check_global(address, bytes, bytes, 1);
  hooks->system_store(address, data, bytes, is_release);
}
inline void system_load(const void* address, void* data, unsigned long bytes) {
  check_global(address, bytes, bytes, 0);
  hooks->system_load(address, data, bytes);
}
inline unsigned long long nanoseconds() { return hooks->nanoseconds(); }
template <class T>
T load_control(const T* p) {
  check_global(p, sizeof(T), sizeof(T), 0);
  return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}
template <class T>
void store_control(T* p, T value) {
  check_global(p, sizeof(T), sizeof(T), 1);
  __atomic_store_n(p, value, __ATOMIC_RELEASE);
}

template <class T>
unsigned long long to_word(T value) {
  static_assert(sizeof(T) <= 8);
  unsigned long long word = 0;
  __builtin_memcpy(&word, &value, sizeof(T));
  return word;
}

template <class T>
T from_word(unsigned long long word) {
  T value;
  __builtin_memcpy(&value, &word, sizeof(T));
  return value;
}

template <class T>
T shuffle(WarpKind kind, unsigned mask, T value, int argument, int width) {
  return from_word<T>(hooks->warp(kind, mask, to_word(value), argument, width));
}

inline unsigned vote(WarpKind kind, unsigned mask, unsigned long long value) {
  return static_cast<unsigned>(hooks->warp(kind, mask, value, 0, 32));
}

// Blocks run on several OS threads, so the update must be atomic for the CPU too.
template <class T, class Update>
T atomic_update(T* address, Update update) {
  hooks->check_atomic(address, sizeof(T));
  T expected;
  __atomic_load(address, &expected, __ATOMIC_RELAXED);
  for (;;) {
    T desired = update(expected);
    if (__atomic_compare_exchange(address, &expected, &desired, false, __ATOMIC_RELAXED,
                                  __ATOMIC_RELAXED)) {
      return expected;
    }
  }
}

template <unsigned... kIndex>
struct Indices {};
template <unsigned kCount, unsigned... kIndex>
struct MakeIndices : MakeIndices<kCount - 1, kCount - 1, kIndex...> {};
template <unsigned... kIndex>
struct MakeIndices<0, kIndex...> {
  using Type = Indices<kIndex...>;
};

template <auto kEntry>
struct Entry;

template <class... P, void (*kEntry)(P...)>
struct Entry<kEntry> {
  template <unsigned... kIndex>
  static void apply(const void* const* arguments, Indices<kIndex...>) {
    kEntry(*static_cast<const P*>(arguments[kIndex])...);
  }
  static void call(const void* const* arguments) {
    apply(arguments, typename MakeIndices<sizeof...(P)>::Type{});
  }
  static constexpr unsigned long kSizes[sizeof...(P) + 1] = {sizeof(P)..., 0};
  static constexpr Function describe(const char* key) { return {key, &call, sizeof...(P), kSizes}; }
};

}  // namespace fourge_host

using size_t = decltype(sizeof(0));
using uint3 = ::fourge_host::Index3;
using dim3 = ::fourge_host::Index3;

#define threadIdx (::fourge_host::context()->thread_index)
#define blockIdx (::fourge_host::context()->block_index)
#define blockDim (::fourge_host::context()->block_size)
#define gridDim (::fourge_host::context()->grid_size)
constexpr int warpSize = 32;

inline void __syncthreads() { ::fourge_host::hooks->barrier(::fourge_host::BarrierKind::sync, 0); }
inline int __syncthreads_or(int predicate) {
  return ::fourge_host::hooks->barrier(::fourge_host::BarrierKind::logical_or, predicate);
}
inline int __syncthreads_and(int predicate) {
  return ::fourge_host::hooks->barrier(::fourge_host::BarrierKind::logical_and, predicate);
}
inline int __syncthreads_count(int predicate) {
  return ::fourge_host::hooks->barrier(::fourge_host::BarrierKind::count, predicate);
}
// Not in CUDA: see device/cluster.cuh.
namespace fourge_host {
inline void cluster_barrier() { hooks->barrier(BarrierKind::cluster, 0); }
inline void cluster_store(void* address, unsigned rank, unsigned value) {
  hooks->cluster_store(address, rank, value);
}
}  // namespace fourge_host
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) {
  ::fourge_host::vote(::fourge_host::WarpKind::sync, mask, 0);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
  return ::fourge_host::shuffle(::fourge_host::WarpKind::shuffle, mask, value, lane, width);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return ::fourge_host::shuffle(::fourge_host::WarpKind::shuffle_up, mask, value,
                                static_cast<int>(delta), width);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return ::fourge_host::shuffle(::fourge_host::WarpKind::shuffle_down, mask, value,
                                static_cast<int>(delta), width);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  return ::fourge_host::shuffle(::fourge_host::WarpKind::shuffle_xor, mask, value, lane_mask,
                                width);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return ::fourge_host::vote(::fourge_host::WarpKind::ballot, mask, predicate != 0 ? 1 : 0);
}
inline int __any_sync(unsigned mask, int predicate) {
  return static_cast<int>(
      ::fourge_host::vote(::fourge_host::WarpKind::any, mask, predicate != 0 ? 1 : 0));
}
inline int __all_sync(unsigned mask, int predicate) {
  return static_cast<int>(
      ::fourge_host::vote(::fourge_host::WarpKind::all, mask, predicate != 0 ? 1 : 0));
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value) {
  return ::fourge_host::vote(::fourge_host::WarpKind::match, mask, ::fourge_host::to_word(value));
}
inline unsigned __activemask() { return ::fourge_host::hooks->active_mask(); }

inline int atomicAdd(int* address, int value) {
  return ::fourge_host::atomic_update(address, [value](int old) {
    return static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(value));
  });
}
inline unsigned atomicAdd(unsigned* address, unsigned value) {
  return ::fourge_host::atomic_update(address, [value](unsigned old) { return old + value; });
}
inline unsigned long long atomicAdd(unsigned long long* address, unsigned long long value) {
  return ::fourge_host::atomic_update(address,
                                      [value](unsigned long long old) { return old + value; });
}
inline float atomicAdd(float* address, float value) {
  return ::fourge_host::atomic_update(
      address, [value](float old) { return ::fourge_host::add_rn(old, value); });
}
inline int atomicMax(int* address, int value) {
  return ::fourge_host::atomic_update(address,
                                      [value](int old) { return old > value ? old : value; });
}
inline unsigned atomicMax(unsigned* address, unsigned value) {
  return ::fourge_host::atomic_update(address,
                                      [value](unsigned old) { return old > value ? old : value; });
}
inline unsigned long long atomicMax(unsigned long long* address, unsigned long long value) {
  return ::fourge_host::atomic_update(
      address, [value](unsigned long long old) { return old > value ? old : value; });
}
// Not in CUDA: the float forms of the templates' own reductions.
inline float atomicMax(float* address, float value) {
  return ::fourge_host::atomic_update(
      address, [value](float old) { return ::fourge_host::max(old, value); });
}

inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __trap() { ::fourge_host::hooks->trap(); }

inline unsigned __float_as_uint(float a) { return ::fourge_host::float_as_uint(a); }
inline float __uint_as_float(unsigned a) { return ::fourge_host::uint_as_float(a); }
inline int __float_as_int(float a) { return static_cast<int>(::fourge_host::float_as_uint(a)); }
inline float __int_as_float(int a) {
  return ::fourge_host::uint_as_float(static_cast<unsigned>(a));
}
inline int __popc(unsigned a) { return __builtin_popcount(a); }
inline int __clz(int a) { return a == 0 ? 32 : __builtin_clz(static_cast<unsigned>(a)); }
inline int __ffs(int a) { return __builtin_ffs(a); }
