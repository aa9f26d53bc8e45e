// A wish to end soon: SIGINT, or SIGTERM as `timeout` sends it. For commands that measure for long, and that
// finish their output with what they have.
#pragma once

#include <atomic>
#include <csignal>
#include <thread>

namespace fourge::tools {

// While one lives, such a signal is a wish, and another one a second later or more ends the process as ever. At most
// one lives at a time, made before other threads are. It blocks the signals and has a thread that waits for them:
// NVRTC sets handlers of its own while it compiles, which would end the process with nothing printed.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  static bool wanted() noexcept;

 private:
  void listen() const;

  sigset_t signals_{};
  sigset_t old_mask_{};
  std::atomic<bool> over_{false};
  std::thread listener_;
};

}  // namespace fourge::tools
