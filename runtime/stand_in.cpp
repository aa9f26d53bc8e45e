#include "runtime/stand_in.hpp"

#include <algorithm>

namespace fourge::detail {

StandIn::StandIn(const KernelSpec& wanted, PreparedKernel& general)
    : general_(general), state_(wanted, general.state().driver, nullptr) {
  state_.active.store(&general.state(), std::memory_order_release);
}

bool StandIn::attend(std::chrono::seconds pause) {
  const std::uint64_t id = current_context(general_.state());
  CUcontext context = nullptr;
  const Driver& driver = *general_.state().driver;
  driver.check(driver.cuCtxGetCurrent(&context), "cuCtxGetCurrent", state_.text);
  const std::lock_guard lock(mutex_);
  const bool known = std::any_of(contexts_.begin(), contexts_.end(),
                                 [id](const Attended& other) { return other.id == id; });
  if (!known) {
    contexts_.push_back({id, context});
  }
  const auto now = std::chrono::steady_clock::now();
  if (replaced() || being_made_ || (failed_at_ && now - *failed_at_ < pause)) {
    return false;
  }
  being_made_ = true;
  return true;
}

CUcontext StandIn::next_context(const KernelState* wanted) {
  const std::lock_guard lock(mutex_);
  for (Attended& attended : contexts_) {
    if (!attended.given) {
      attended.given = true;
      return attended.context;
    }
  }
  if (wanted != nullptr) {
    state_.active.store(wanted, std::memory_order_release);
    replaced_.store(true, std::memory_order_release);
  }
  return nullptr;
}

void StandIn::failed() noexcept {
  const std::lock_guard lock(mutex_);
  being_made_ = false;
  failed_at_ = std::chrono::steady_clock::now();
  for (Attended& attended : contexts_) {
    attended.given = false;
  }
}

}  // namespace fourge::detail
