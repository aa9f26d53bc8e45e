// A kernel that is not there yet: handles of it run its fallback variant, and run it itself from
// the moment on when it is there. Launches look at one atomic pointer and take no lock.
#pragma once

#include <fourge/kernel_spec.hpp>

#include "runtime/driver/kernel_state.hpp"
#include "runtime/prepared_kernel.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace fourge::detail {

class StandIn {
 public:
  // general is loaded, has the same results as wanted, and outlives this.
  StandIn(const KernelSpec& wanted, PreparedKernel& general);

  // What handles point to.
  const KernelState& state() const noexcept { return state_; }
  PreparedKernel& general() const noexcept { return general_; }
  bool replaced() const noexcept { return replaced_.load(std::memory_order_acquire); }

  // A handle is given out for the calling thread's current context. True if the caller should have the
  // wanted kernel made now: nobody does, and no attempt failed within that time.
  bool attend(std::chrono::seconds pause);

  // These for the thread that makes it, in this order.

  // A context that it was asked for in and that was not given out before; null: there is none, and
  // then, if wanted is not null, handles run it from now on.
  CUcontext next_context(const KernelState* wanted);
  void failed() noexcept;

 private:
  struct Attended {
    std::uint64_t id;
    CUcontext context;
    bool given = false;
  };

  PreparedKernel& general_;
  KernelState state_;
  std::atomic<bool> replaced_{false};
  std::mutex mutex_;  // of what follows; not taken by launches
  std::vector<Attended> contexts_;
  bool being_made_ = false;
  std::optional<std::chrono::steady_clock::time_point> failed_at_;
};

}  // namespace fourge::detail
