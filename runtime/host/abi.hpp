// What the library and a compiled batch of kernels say to each other. Included by both; the
// kernels' side has no standard header, so neither has this one. kAbiVersion changes with any
// change here.
#pragma once

namespace fourge_host {

constexpr unsigned kAbiVersion = 3;

struct Index3 {
  unsigned x, y, z;
};

// What a kernel may ask about the thread it is.
struct ThreadContext {
  Index3 thread_index;
  Index3 block_index;
  Index3 block_size;
  Index3 grid_size;
  void* dynamic_shared;  // 128-byte aligned; null if the launch asked for none
  unsigned cluster_rank;
  unsigned cluster_size;
};

// cluster: of all CTAs of the cluster.
enum class BarrierKind { sync, logical_or, logical_and, count, cluster };

enum class WarpKind {
  sync,
  shuffle,
  shuffle_up,
  shuffle_down,
  shuffle_xor,
  ballot,
  any,
  all,
  match
};

// Calls from kernels into the library. Each may throw; kernels let exceptions pass.
struct Hooks {
  const ThreadContext* (*context)();
  void (*check_global)(const void* address, unsigned long bytes, unsigned long align, int is_store);
  void (*check_shared)(const void* address, unsigned long bytes, int is_store);
  // A read-modify-write of global or shared memory.
  void (*check_atomic)(const void* address, unsigned long bytes);
  int (*barrier)(BarrierKind kind, int predicate);
  // argument: the source lane, delta or lane mask of a shuffle; width: its segment.
  unsigned long long (*warp)(WarpKind kind, unsigned mask, unsigned long long value, int argument,
                             int width);
  // The lanes of this warp that have not exited.
  unsigned (*active_mask)();
  void (*trap)();
  // Stores to what lies at `address` of the dynamic shared memory, but in CTA `rank` of the cluster. It is
  // there after the next cluster barrier.
  void (*cluster_store)(void* address, unsigned rank, unsigned value);
  // Accesses to memory that several devices use. A store is on its way until a release, or the kernel's
  // end, says that it has arrived; a release is ordered after what its thread stored, and the block's other
  // threads before a barrier.
  void (*system_store)(void* address, const void* data, unsigned long bytes, int is_release);
  void (*system_load)(const void* address, void* data, unsigned long bytes);
  // The device's clock.
  unsigned long long (*nanoseconds)();
};

// One kernel of a batch. call() reads each argument through its pointer.
struct Function {
  const char* key;
  void (*call)(const void* const* arguments);
  unsigned parameters;
  const unsigned long* parameter_sizes;
};

struct Module {
  unsigned abi_version;
  unsigned count;
  const Function* functions;
};

// The one symbol that a compiled batch exports, as "fourge_host_module".
using ModuleEntry = const Module*(const Hooks* hooks);

}  // namespace fourge_host
