// A kernel in the Runtime's table: the loaded library and the contexts it has been loaded for.
#pragma once

#include "runtime/driver/kernel_state.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

namespace fourge::detail {

// The driver's number of the calling thread's current context, plus one. Throws Error(unsupported) with
// the state's text if there is none.
std::uint64_t current_context(const KernelState& state);

class PreparedKernel {
 public:
  // The state as load_kernel() made it.
  explicit PreparedKernel(std::unique_ptr<KernelState> state);

  const KernelState& state() const noexcept { return *state_; }

  // Forces the load for the calling thread's current context, once per context. Without a lock; two
  // threads may do it twice, which is harmless. Throws Error(unsupported) without a current context, if
  // the context's device is not one the kernel's target runs on, and if there is something to load
  // while a stream capture is seen (runtime/driver/capture.hpp; the stream is the one to look at).
  void load_for_current_context(std::optional<CUstream> stream = std::nullopt);
  // The same for a thread of the library's own: it captures nothing, and what others capture is not
  // harmed.
  void load_in_background();
  bool is_loaded_for_current_context() const;

 private:
  bool knows(std::uint64_t context) const noexcept;
  void remember(std::uint64_t context) noexcept;

  // Contexts remembered; more than these take one another's place.
  static constexpr std::size_t kContexts = 16;

  std::unique_ptr<KernelState> state_;
  // The driver's number of each context, plus one; 0: none. Not its address: that of a destroyed context
  // may come back as another one's.
  std::array<std::atomic<std::uint64_t>, kContexts> contexts_{};
  std::atomic<std::size_t> next_{0};
};

}  // namespace fourge::detail
