#include "tools/interruption.hpp"

#include <chrono>
#include <ctime>

namespace fourge::tools {
namespace {

std::atomic<bool> has_come{false};

}  // namespace

Interruption::Interruption() {
  has_come = false;
  ::sigemptyset(&signals_);
  ::sigaddset(&signals_, SIGINT);
  ::sigaddset(&signals_, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals_, &old_mask_);
  listener_ = std::thread([this] { listen(); });
}

Interruption::~Interruption() {
  over_ = true;
  listener_.join();
  ::pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
}

void Interruption::listen() const {
  using Clock = std::chrono::steady_clock;
  Clock::time_point first;
  while (!over_) {
    const timespec look{0, 50'000'000};
    const int signal = ::sigtimedwait(&signals_, nullptr, &look);
    if (signal <= 0) continue;
    if (!has_come) {
      first = Clock::now();
      has_come = true;
    } else if (Clock::now() - first > std::chrono::seconds(1)) {
      // `timeout` signals the process and then its group: what follows at once is the same wish.
      ::signal(signal, SIG_DFL);
      ::pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
      ::raise(signal);
    }
  }
}

bool Interruption::wanted() noexcept { return has_come; }

}  // namespace fourge::tools
