#include "runtime/host/block_runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fourge/error.hpp>
#include <utility>

#include "runtime/host/system_memory.hpp"

namespace fourge::host {

using fourge_host::BarrierKind;
using fourge_host::Index3;
using fourge_host::WarpKind;

namespace {

// Thrown through the threads of a block that failed, to unwind their stacks.
struct Abandoned {};

constexpr std::size_t kSharedAlignment = 128;

}  // namespace

class BlockRunner::CurrentScope {
 public:
  explicit CurrentScope(BlockRunner* runner) : previous_(std::exchange(current_, runner)) {}
  ~CurrentScope() { current_ = previous_; }
  CurrentScope(const CurrentScope&) = delete;
  CurrentScope& operator=(const CurrentScope&) = delete;

 private:
  BlockRunner* previous_;
};

BlockRunner::~BlockRunner() {
  quitting_ = true;
  for (const auto& fiber : fibers_) {
    fiber->enter();  // waits for work, so nothing is on its stack; its body returns
  }
}

void BlockRunner::reset(const Launch& launch, const Index3& block) {
  launch_ = &launch;
  block_ = block;
  count_ = launch.threads();
  next_ = 0;
  exited_ = 0;
  barrier_arrived_ = 0;
  barrier_true_ = 0;
  barriers_ = 0;
  unwinding_ = false;
  failure_ = nullptr;
  ready_.clear();
  last_regions_ = {};
  static_begin_ = 0;
  static_end_ = 0;
  shadow_.begin_block(count_);

  const LaunchShape& shape = launch.shape;
  if (dynamic_shared_.size() < shape.dynamic_shared_bytes + kSharedAlignment) {
    dynamic_shared_.resize(shape.dynamic_shared_bytes + kSharedAlignment);
  }
  const auto storage = reinterpret_cast<std::uintptr_t>(dynamic_shared_.data());
  const std::size_t padding = (kSharedAlignment - storage % kSharedAlignment) % kSharedAlignment;
  dynamic_begin_ = storage + padding;
  void* const dynamic =
      shape.dynamic_shared_bytes == 0 ? nullptr : dynamic_shared_.data() + padding;

  warps_.assign((count_ + 31) / 32, Warp{0xFFFFFFFFU, 0});
  if (count_ % 32 != 0) {
    warps_.back().live >>= 32 - count_ % 32;
  }
  threads_.resize(std::max<std::size_t>(threads_.size(), count_));
  for (unsigned i = 0; i < count_; ++i) {
    Thread& thread = threads_[i];
    thread.context.thread_index = {i % shape.block[0], i / shape.block[0] % shape.block[1],
                                   i / (shape.block[0] * shape.block[1])};
    thread.context.block_index = block;
    thread.context.block_size = {shape.block[0], shape.block[1], shape.block[2]};
    thread.context.grid_size = {shape.grid[0], shape.grid[1], shape.grid[2]};
    thread.context.dynamic_shared = dynamic;
    thread.context.cluster_rank = rank_;
    thread.context.cluster_size = cluster_ == nullptr ? 1 : cluster_->size();
    thread.index = i;
    thread.phase = Phase::not_started;
    thread.fiber = nullptr;
  }
}

void BlockRunner::run(const Launch& launch, const Index3& block, Cluster* cluster, unsigned rank) {
  cluster_ = cluster;
  rank_ = rank;
  reset(launch, block);
  const CurrentScope scope(this);
  schedule();
  if (!failure_ && exited_ < count_) {
    failure_ = std::make_exception_ptr(Error(ErrorKind::internal, describe_stall()));
  }
  if (failure_) {
    unwind();
    std::rethrow_exception(std::exchange(failure_, nullptr));
  }
}

void BlockRunner::pause() {
  if (current_ != this) {
    return;
  }
  current_ = nullptr;
  is_paused_ = true;
  const auto* const begin = reinterpret_cast<const unsigned char*>(static_begin_);
  static_saved_.assign(begin, begin + (static_end_ - static_begin_));
}

void BlockRunner::resume() {
  if (!std::exchange(is_paused_, false)) {
    return;
  }
  current_ = this;
  std::copy(static_saved_.begin(), static_saved_.end(),
            reinterpret_cast<unsigned char*>(static_begin_));
}

// Until every thread has exited, one has failed or none can go on. Threads that can go on come
// before those not yet started, so that few fibers are needed.
void BlockRunner::schedule() {
  while (!failure_) {
    if (!ready_.empty()) {
      Thread* const thread = ready_.front();
      ready_.pop_front();
      thread->fiber->enter();
    } else if (next_ < count_) {
      // Without a stack for it the block fails, and threads that have begun are unwound.
      try {
        idle_fiber().enter();
      } catch (...) {
        failure_ = std::current_exception();
      }
    } else {
      return;
    }
  }
}

Fiber& BlockRunner::idle_fiber() {
  if (idle_fibers_.empty()) {
    fibers_.reserve(fibers_.size() + 1);
    idle_fibers_.reserve(fibers_.size() + 1);
    fibers_.push_back(std::make_unique<Fiber>(&BlockRunner::fiber_body, this));
    idle_fibers_.push_back(fibers_.back().get());
  }
  Fiber& fiber = *idle_fibers_.back();
  idle_fibers_.pop_back();
  return fiber;
}

void BlockRunner::unwind() {
  unwinding_ = true;
  for (unsigned i = 0; i < next_; ++i) {
    if (threads_[i].phase != Phase::exited) {
      threads_[i].fiber->enter();
    }
  }
}

void BlockRunner::fiber_body(void* runner, Fiber& self) {
  static_cast<BlockRunner*>(runner)->run_threads(self);
}

void BlockRunner::run_threads(Fiber& self) {
  while (!quitting_) {
    while (!unwinding_ && !failure_ && ready_.empty() && next_ < count_) {
      run_thread(threads_[next_++], self);
    }
    idle_fibers_.push_back(&self);
    self.leave();
  }
}

void BlockRunner::run_thread(Thread& thread, Fiber& self) {
  thread.fiber = &self;
  thread.phase = Phase::running;
  running_ = &thread;
  try {
    launch_->kernel.function->call(launch_->arguments);
  } catch (const Abandoned&) {
    // The block has failed elsewhere.
  } catch (...) {
    failure_ = std::current_exception();
  }
  thread.phase = Phase::exited;
  ++exited_;
  Warp& warp = warps_[thread.index / 32];
  warp.live &= ~(1U << thread.index % 32);
  if (unwinding_ || failure_ || warp.waiting == 0) {
    return;
  }
  // Lanes that wait for this one need to no longer.
  const unsigned first = thread.index / 32 * 32;
  for (unsigned i = first; i < std::min(first + 32, count_); ++i) {
    if (threads_[i].phase == Phase::at_warp) {
      try {
        try_complete_warp(threads_[i]);
      } catch (...) {
        failure_ = std::current_exception();
        return;
      }
    }
  }
}

void BlockRunner::suspend(Thread& thread, Phase phase) {
  thread.phase = phase;
  thread.fiber->leave();
  running_ = &thread;
  if (unwinding_) {
    throw Abandoned{};
  }
}

int BlockRunner::barrier(BarrierKind kind, int predicate) {
  Thread& thread = *running_;
  if (barrier_arrived_ == 0) {
    barrier_kind_ = kind;
    barrier_true_ = 0;
  } else if (barrier_kind_ != kind) {
    fail(
        fmt::format("waits at {} while other threads of the block wait at {}. Look for branches "
                    "that reach different barriers",
                    to_text(kind), to_text(barrier_kind_)));
  }
  ++barrier_arrived_;
  barrier_true_ += predicate != 0 ? 1 : 0;
  if (barrier_arrived_ == count_) {
    if (kind == BarrierKind::cluster) {
      meet_cluster();
    }
    release_barrier();
  } else {
    suspend(thread, Phase::at_barrier);
  }
  if (launch_->system != nullptr && thread.index == 0) {
    launch_->system->barrier();
  }
  // The next barrier cannot be complete before this thread has arrived there.
  return barrier_result_;
}

void BlockRunner::release_barrier() {
  switch (barrier_kind_) {
    case BarrierKind::logical_or:
      barrier_result_ = barrier_true_ != 0 ? 1 : 0;
      break;
    case BarrierKind::logical_and:
      barrier_result_ = barrier_true_ == count_ ? 1 : 0;
      break;
    case BarrierKind::count:
    case BarrierKind::sync:
    case BarrierKind::cluster:
      barrier_result_ = static_cast<int>(barrier_true_);
      break;
  }
  barrier_arrived_ = 0;
  ++barriers_;
  shadow_.barrier();
  for (unsigned i = 0; i < count_; ++i) {
    if (threads_[i].phase == Phase::at_barrier) {
      threads_[i].phase = Phase::running;
      ready_.push_back(&threads_[i]);
    }
  }
}

void BlockRunner::meet_cluster() {
  shadow_.barrier();
  if (cluster_ == nullptr) {
    return;
  }
  cluster_->arrive();
  for (const Cluster::Store& store : cluster_->take(rank_)) {
    receive(store);
  }
}

void BlockRunner::receive(const Cluster::Store& store) {
  const std::uintptr_t address = dynamic_begin_ + store.offset;
  std::memcpy(reinterpret_cast<void*>(address), &store.value, sizeof(store.value));
  SharedFault fault{};
  shadow_.access(running_->index, address, sizeof(store.value), SharedAccess::store, fault);
}

std::uint32_t BlockRunner::active_mask() const { return warps_[running_->index / 32].live; }

std::uint64_t BlockRunner::warp(WarpKind kind, std::uint32_t mask, const LaneOperand& operand) {
  Thread& thread = *running_;
  if ((mask >> (thread.index % 32) & 1U) == 0) {
    fail(fmt::format("calls {} with mask {:#010x}, which does not name its own lane {}",
                     to_text(kind), mask, thread.index % 32));
  }
  if (const std::string refusal = width_refusal(operand.width); !refusal.empty()) {
    fail(refusal);
  }
  thread.warp_kind = kind;
  thread.mask = mask;
  thread.operand = operand;
  thread.phase = Phase::at_warp;
  warps_[thread.index / 32].waiting |= 1U << thread.index % 32;
  try_complete_warp(thread);
  if (thread.phase == Phase::at_warp) {
    suspend(thread, Phase::at_warp);
  }
  return thread.result;
}

// A warp may have several operations under way, of different lanes. One is complete when every lane
// it names that has not exited waits in it.
void BlockRunner::try_complete_warp(Thread& thread) {
  const unsigned warp = thread.index / 32;
  const std::uint32_t lanes = thread.mask & warps_[warp].live;
  if ((lanes & ~warps_[warp].waiting) != 0) {
    return;
  }
  std::array<LaneOperand, 32> operands;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((lanes >> lane & 1U) == 0) {
      continue;
    }
    const Thread& other = threads_[warp * 32 + lane];
    if (other.mask != thread.mask || other.warp_kind != thread.warp_kind) {
      return;
    }
    operands[lane] = other.operand;
  }
  const WarpResult result = warp_operation(thread.warp_kind, lanes, operands);
  if (result.undefined) {
    const unsigned source = warp * 32 + result.undefined->source;
    throw Error(
        ErrorKind::internal,
        fmt::format("{}{} reads lane {}, which {}: on a GPU the value is undefined. Look for a "
                    "last warp that is not full, or a mask that misses lanes",
                    prefix(threads_[warp * 32 + result.undefined->lane]), to_text(thread.warp_kind),
                    result.undefined->source,
                    source >= count_ ? "is beyond the end of the block"
                    : threads_[source].phase == Phase::exited
                        ? "has exited"
                        : fmt::format("mask {:#010x} does not name", thread.mask)));
  }
  shadow_.warp_sync(warp, lanes);
  warps_[warp].waiting &= ~lanes;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((lanes >> lane & 1U) != 0) {
      Thread& other = threads_[warp * 32 + lane];
      other.result = result.values[lane];
      other.phase = Phase::running;
      if (&other != running_) {
        ready_.push_back(&other);
      }
    }
  }
}

}  // namespace fourge::host
