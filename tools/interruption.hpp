// A wish to end soon: SIGINT, or SIGTERM as `timeout` sends it. For commands that measure for long, and that
// finish their output with what they have.
#pragma once

#include <csignal>

namespace fourge::tools {

// While one lives, such a signal is a wish, and another one a second later or more ends the process as ever. At most
// one lives at a time; when the signal came is the one thing of the command that is global, because a signal handler
// can reach nothing else.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  static bool wanted() noexcept;

 private:
  struct sigaction old_int_ {};
  struct sigaction old_term_ {};
};

}  // namespace fourge::tools
