// Runs the threads of one block as fibers on the calling OS thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "runtime/host/abi.hpp"
#include "runtime/host/cluster.hpp"
#include "runtime/host/fiber.hpp"
#include "runtime/host/launch.hpp"
#include "runtime/host/shared_shadow.hpp"
#include "runtime/host/warp_operation.hpp"

namespace fourge::host {

// Keeps its fibers and tables from block to block. Not thread-safe; may move between OS threads
// between blocks. Threads are scheduled in a fixed order, so a block that fails does so the same
// way every time.
class BlockRunner {
 public:
  BlockRunner() = default;
  ~BlockRunner();
  BlockRunner(const BlockRunner&) = delete;
  BlockRunner& operator=(const BlockRunner&) = delete;

  // Throws Error(internal) that names block and thread if the kernel does what it may not, Error(io) if there is no
  // memory for a thread's stack; all of the block's threads are unwound by then and the runner is fit for the next
  // block.
  // With a cluster, the block is its CTA `rank`; its other CTAs must run at the same time on other OS
  // threads, and run() may throw ClusterFailed.
  void run(const Launch& launch, const fourge_host::Index3& block, Cluster* cluster = nullptr,
           unsigned rank = 0);

  // Between the two, other runners may be used on this OS thread: by SystemMemory, whose blocks share the
  // thread's set of shared variables, which pause() therefore puts aside. Outside of run() they do nothing.
  void pause();
  void resume();

  // The hooks, called on the running thread's fiber.
  const fourge_host::ThreadContext* context() const { return &running_->context; }
  void check_global(std::uintptr_t address, std::size_t bytes, std::size_t align, bool is_store);
  void check_shared(std::uintptr_t address, std::size_t bytes, SharedAccess kind);
  void check_atomic(std::uintptr_t address, std::size_t bytes);
  int barrier(fourge_host::BarrierKind kind, int predicate);
  std::uint64_t warp(fourge_host::WarpKind kind, std::uint32_t mask, const LaneOperand& operand);
  std::uint32_t active_mask() const;
  void cluster_store(std::uintptr_t address, unsigned rank, std::uint32_t value);
  void system_store(std::uintptr_t address, const void* data, std::size_t bytes, bool is_release);
  void system_load(std::uintptr_t address, void* data, std::size_t bytes);
  std::uint64_t nanoseconds() const;
  // Throws the error that names the running thread.
  [[noreturn]] void fail(const std::string& what) const;

  // The runner whose block the calling OS thread is in; null outside of one.
  static BlockRunner* current() noexcept { return current_; }

 private:
  enum class Phase : std::uint8_t { not_started, running, at_barrier, at_warp, exited };

  struct Thread {
    fourge_host::ThreadContext context{};
    Fiber* fiber = nullptr;
    unsigned index = 0;
    Phase phase = Phase::not_started;
    fourge_host::WarpKind warp_kind{};
    std::uint32_t mask = 0;
    LaneOperand operand;
    std::uint64_t result = 0;
  };

  // Of its 32 lanes: those that have not exited, and those that wait in an operation of the warp.
  struct Warp {
    std::uint32_t live = 0;
    std::uint32_t waiting = 0;
  };

  class CurrentScope;

  void reset(const Launch& launch, const fourge_host::Index3& block);
  void schedule();
  // Throws Error(io) if no stack can be mapped.
  Fiber& idle_fiber();
  void unwind();
  static void fiber_body(void* runner, Fiber& self);
  void run_threads(Fiber& self);
  void run_thread(Thread& thread, Fiber& self);
  void suspend(Thread& thread, Phase phase);
  void release_barrier();
  // Waits for the other CTAs and takes what they stored here.
  void meet_cluster();
  void receive(const Cluster::Store& store);
  // Completes the operation that the lane waits in, if all have arrived.
  void try_complete_warp(Thread& thread);
  void check_dynamic_shared(std::uintptr_t address, std::size_t bytes) const;
  void note_static_shared(std::uintptr_t address, std::size_t bytes);

  std::string describe_stall() const;
  std::string describe_threads(Phase phase) const;
  std::string describe_warp_waits() const;
  std::string name_of(unsigned thread) const;
  std::string prefix(const Thread& thread) const;

  // Which block this OS thread is in: the hooks have no other way to know.
  static inline thread_local constinit BlockRunner* current_ = nullptr;

  const Launch* launch_ = nullptr;
  fourge_host::Index3 block_{};
  Cluster* cluster_ = nullptr;
  unsigned rank_ = 0;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  unsigned count_ = 0;
  unsigned next_ = 0;  // the first thread that has not started
  unsigned exited_ = 0;
  std::deque<Thread*> ready_;
  std::array<const BufferRegion*, 2> last_regions_{};  // of the last load and the last store
  Thread* running_ = nullptr;

  fourge_host::BarrierKind barrier_kind_{};
  unsigned barrier_arrived_ = 0;
  unsigned barrier_true_ = 0;
  int barrier_result_ = 0;
  std::uint64_t barriers_ = 0;  // passed

  bool unwinding_ = false;
  bool quitting_ = false;
  std::exception_ptr failure_;

  // Shared variables that are not dynamic, where SystemMemory is in use: those accessed, and what they hold
  // while paused.
  std::uintptr_t static_begin_ = 0;
  std::uintptr_t static_end_ = 0;
  std::vector<unsigned char> static_saved_;
  bool is_paused_ = false;

  SharedShadow shadow_;
  std::vector<unsigned char> dynamic_shared_;
  std::uintptr_t dynamic_begin_ = 0;

  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_fibers_;
};

}  // namespace fourge::host
