// A kernel in the Runtime's table: the loaded library and the contexts it has been loaded for.
#pragma once

#include "runtime/driver/kernel_state.hpp"

#include <array>
#include <atomic>
#include <memory>

namespace fourge::detail {

class PreparedKernel {
 public:
  explicit PreparedKernel(std::unique_ptr<KernelState> state);

  const KernelState& state() const noexcept { return *state_; }

  // Forces the load for the calling thread's current context, once per context. Without a lock; two
  // threads may do it twice, which is harmless. Throws Error(unsupported) without a current context
  // or when the context's device is not one the kernel's target runs on.
  void load_for_current_context();

 private:
  // Contexts remembered; those beyond are asked for each time.
  static constexpr std::size_t kContexts = 16;

  std::unique_ptr<KernelState> state_;
  std::array<std::atomic<CUcontext>, kContexts> contexts_{};
};

}  // namespace fourge::detail
