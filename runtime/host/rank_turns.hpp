// Turns of OS threads that run one at a time, in an order that a seed gives.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

namespace fourge::host {

// Thrown in all other threads when one has failed.
struct TurnsFailed {};

// For a fixed number of threads, each with a number and a rank. But for start() and wait(), the functions
// are for the thread whose turn it is.
class RankTurns {
 public:
  RankTurns(std::vector<int> rank_of_thread, std::uint64_t seed, int slow_rank,
            std::uint64_t most_turns);

  // Called by each thread first: returns when its turn has come.
  void start(std::size_t thread);
  // Another one's turn, or this one's again.
  void hand_over(std::size_t thread);
  // Not this one's turn until it is woken.
  void sleep(std::size_t thread);
  void wake(std::size_t thread) { threads_[thread]->can_run = true; }
  // For ever.
  void leave(std::size_t thread);
  // Ends all threads' turns with TurnsFailed; the first failure counts. Any thread may call.
  void fail(std::exception_ptr failure) noexcept;

  // When all threads have ended. Throws the failure.
  void rethrow() const;

  std::mt19937_64& random() noexcept { return random_; }
  bool one_in(unsigned n) { return random_() % n == 0; }

 private:
  struct Thread {
    std::condition_variable changed;
    int rank;
    bool can_run = true;
    bool stalled = false;
  };

  void pass(std::size_t next);
  void wait_for_turn(std::size_t thread);
  void stall_anew();
  std::size_t choose();

  std::vector<std::unique_ptr<Thread>> threads_;
  std::mt19937_64 random_;
  int slow_rank_;
  std::uint64_t most_turns_;
  std::uint64_t turns_ = 0;
  std::uint64_t stalled_until_ = 0;

  std::mutex mutex_;  // of what follows
  std::size_t current_ = 0;
  bool failed_ = false;
  std::exception_ptr failure_;
};

}  // namespace fourge::host
