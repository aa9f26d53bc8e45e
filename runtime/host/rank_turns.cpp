#include "runtime/host/rank_turns.hpp"

#include <fmt/format.h>

#include <fourge/error.hpp>
#include <utility>

namespace fourge::host {

RankTurns::RankTurns(std::vector<int> rank_of_thread, std::uint64_t seed, int slow_rank,
                     std::uint64_t most_turns)
    : random_(seed), slow_rank_(slow_rank), most_turns_(most_turns) {
  for (const int rank : rank_of_thread) {
    threads_.push_back(std::make_unique<Thread>());
    threads_.back()->rank = rank;
  }
  current_ = random_() % threads_.size();
}

void RankTurns::wait_for_turn(std::size_t thread) {
  std::unique_lock lock(mutex_);
  threads_[thread]->changed.wait(lock, [&] { return failed_ || current_ == thread; });
  if (failed_) {
    throw TurnsFailed{};
  }
}

void RankTurns::start(std::size_t thread) { wait_for_turn(thread); }

void RankTurns::pass(std::size_t next) {
  {
    const std::lock_guard lock(mutex_);
    current_ = next;
  }
  threads_[next]->changed.notify_one();
}

// For a while some threads, and at times a whole rank, stand still as long as others can run.
void RankTurns::stall_anew() {
  stalled_until_ = turns_ + 1 + random_() % 400;
  const bool whole_rank = one_in(2);
  const int rank = threads_[random_() % threads_.size()]->rank;
  for (const auto& thread : threads_) {
    thread->stalled = (whole_rank && thread->rank == rank) || one_in(4);
  }
}

std::size_t RankTurns::choose() {
  if (++turns_ > most_turns_) {
    throw Error(
        ErrorKind::internal,
        fmt::format("host execution of ranks: no end after {} turns. Look for a wait for what "
                    "nobody sends",
                    most_turns_));
  }
  if (turns_ > stalled_until_) {
    stall_anew();
  }
  const bool slow_too = one_in(200);
  std::vector<std::size_t> best;
  std::vector<std::size_t> any;
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    const Thread& thread = *threads_[i];
    if (thread.can_run) {
      any.push_back(i);
      if (!thread.stalled && (slow_too || thread.rank != slow_rank_)) {
        best.push_back(i);
      }
    }
  }
  const auto& among = best.empty() ? any : best;
  return among.empty() ? threads_.size() : among[random_() % among.size()];
}

void RankTurns::hand_over(std::size_t thread) {
  const std::size_t next = choose();
  if (next != thread) {
    pass(next);
    wait_for_turn(thread);
    return;
  }
  const std::lock_guard lock(mutex_);
  if (failed_) {
    throw TurnsFailed{};
  }
}

void RankTurns::sleep(std::size_t thread) {
  threads_[thread]->can_run = false;
  const std::size_t next = choose();
  if (next == threads_.size()) {
    throw Error(ErrorKind::internal, "host execution of ranks: all blocks wait");
  }
  pass(next);
  wait_for_turn(thread);
}

void RankTurns::leave(std::size_t thread) {
  threads_[thread]->can_run = false;
  const std::size_t next = choose();
  if (next != threads_.size()) {
    pass(next);
  }
}

void RankTurns::fail(std::exception_ptr failure) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!failed_) {
      failed_ = true;
      failure_ = std::move(failure);
    }
  }
  for (const auto& thread : threads_) {
    thread->changed.notify_one();
  }
}

void RankTurns::rethrow() const {
  if (failure_) {
    std::rethrow_exception(failure_);
  }
}

}  // namespace fourge::host
