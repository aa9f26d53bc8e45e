#include "runtime/prepared_kernel.hpp"

#include <fourge/error.hpp>

namespace fourge::detail {

PreparedKernel::PreparedKernel(std::unique_ptr<KernelState> state) : state_(std::move(state)) {
  CUcontext current = nullptr;
  const Driver& driver = *state_->driver;
  driver.check(driver.cuCtxGetCurrent(&current), "cuCtxGetCurrent", state_->text);
  contexts_[0] = current;  // load_kernel forced the load for it
}

void PreparedKernel::load_for_current_context() {
  CUcontext current = nullptr;
  const Driver& driver = *state_->driver;
  driver.check(driver.cuCtxGetCurrent(&current), "cuCtxGetCurrent", state_->text);
  for (auto& slot : contexts_) {
    const CUcontext known = slot.load(std::memory_order_relaxed);
    if (known == current && current != nullptr) {
      return;
    }
    if (known == nullptr) {
      force_load(*state_);
      CUcontext expected = nullptr;
      slot.compare_exchange_strong(expected, current, std::memory_order_relaxed);
      return;
    }
  }
  force_load(*state_);
}

}  // namespace fourge::detail
