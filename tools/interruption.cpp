#include "tools/interruption.hpp"

#include <atomic>
#include <cstdint>
#include <ctime>

namespace fourge::tools {
namespace {

// When the first signal came, nanoseconds of the monotonic clock; 0: none has.
std::atomic<std::int64_t> first_came{0};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

constexpr std::int64_t kSameWish = 1'000'000'000;

std::int64_t now() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// `timeout` signals the process and then its group: what follows at once is the same wish.
extern "C" void note_wish(int signal) {
  const std::int64_t first = first_came;
  if (first == 0) {
    first_came = now();
  } else if (now() - first > kSameWish) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
}

void set_handler(int signal, struct sigaction& old) {
  struct sigaction action {};
  action.sa_handler = note_wish;
  action.sa_flags = SA_RESTART;
  ::sigaction(signal, &action, &old);
}

}  // namespace

Interruption::Interruption() {
  first_came = 0;
  set_handler(SIGINT, old_int_);
  set_handler(SIGTERM, old_term_);
}

Interruption::~Interruption() {
  ::sigaction(SIGINT, &old_int_, nullptr);
  ::sigaction(SIGTERM, &old_term_, nullptr);
}

bool Interruption::wanted() noexcept { return first_came != 0; }

}  // namespace fourge::tools
