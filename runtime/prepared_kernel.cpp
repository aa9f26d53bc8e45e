#include "runtime/prepared_kernel.hpp"

#include <fourge/error.hpp>

#include <algorithm>

#include "runtime/driver/capture.hpp"

namespace fourge::detail {

std::uint64_t current_context(const KernelState& state) {
  unsigned long long id = 0;
  const Driver& driver = *state.driver;
  if (driver.cuCtxGetId(nullptr, &id) != CUDA_SUCCESS) {
    current_device(driver, state.text);  // says that there is no context
    driver.check(driver.cuCtxGetId(nullptr, &id), "cuCtxGetId", state.text);
  }
  return id + 1;
}

PreparedKernel::PreparedKernel(std::unique_ptr<KernelState> state) : state_(std::move(state)) {
  contexts_[0] = state_->plan.home_context + 1;  // load_kernel forced the load for it
}

bool PreparedKernel::knows(std::uint64_t context) const noexcept {
  return std::any_of(contexts_.begin(), contexts_.end(), [context](const auto& slot) {
    return slot.load(std::memory_order_relaxed) == context;
  });
}

bool PreparedKernel::is_loaded_for_current_context() const {
  return knows(current_context(*state_));
}

void PreparedKernel::load_for_current_context(std::optional<CUstream> stream) {
  const std::uint64_t current = current_context(*state_);
  if (knows(current)) {
    return;
  }
  const Driver& driver = *state_->driver;
  require_device(*state_, current_device(driver, state_->text));
  refuse_in_capture(driver, stream, state_->text);
  const RelaxedCapture relaxed(driver);
  force_load(*state_);
  remember(current);
}

void PreparedKernel::load_in_background() {
  const std::uint64_t current = current_context(*state_);
  if (knows(current)) {
    return;
  }
  require_device(*state_, current_device(*state_->driver, state_->text));
  const RelaxedCapture relaxed(*state_->driver);
  force_load(*state_);
  remember(current);
}

void PreparedKernel::remember(std::uint64_t context) noexcept {
  for (auto& slot : contexts_) {
    std::uint64_t known = 0;
    if (slot.compare_exchange_strong(known, context, std::memory_order_relaxed) ||
        known == context) {
      return;
    }
  }
  const std::size_t oldest = next_.fetch_add(1, std::memory_order_relaxed) % kContexts;
  contexts_[oldest].store(context, std::memory_order_relaxed);
}

}  // namespace fourge::detail
