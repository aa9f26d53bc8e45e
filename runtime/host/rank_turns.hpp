// Turns of bodies that run one at a time, in an order that a seed gives.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <random>
#include <vector>

#include "runtime/host/fiber.hpp"

namespace fourge::host {

// Thrown in all others when one has failed.
struct TurnsFailed {};

// Whose turns they are. All on one OS thread: what that has of its own must be put aside where others run.
class TurnTaker {
 public:
  TurnTaker() = default;
  virtual ~TurnTaker() = default;
  TurnTaker(const TurnTaker&) = delete;
  TurnTaker& operator=(const TurnTaker&) = delete;

  virtual int rank() const = 0;
  virtual void body() = 0;
  virtual void pause() = 0;
  virtual void resume() = 0;
  // What it stored arrives, or some of it. False if there is nothing.
  virtual bool deliver() = 0;
};

// Takers are named by their index.
class RankTurns {
 public:
  // Throws Error(io) if there is no memory for their stacks.
  RankTurns(const std::vector<TurnTaker*>& takers, std::uint64_t seed, int slow_rank,
            std::uint64_t most_turns);

  // Until all bodies have ended. If one throws, the others' present call throws TurnsFailed, which their
  // bodies must let pass, and so does this what was thrown first.
  void run();

  // What follows is for the one whose turn it is.
  // Another one's turn, or this one's again.
  void hand_over(std::size_t taker);
  // The same for one that looked for something in vain. As long as others can go on, it is not this one's turn until
  // something has arrived.
  void look_again(std::size_t taker);
  // Something is not as it was when others looked.
  void arrived() { ++arrivals_; }
  // Not this one's turn until it is woken.
  void sleep(std::size_t taker);
  void wake(std::size_t taker) { places_[taker].can_run = true; }

  // Below n, which is at most 2^32.
  std::uint64_t random_below(std::uint64_t n) { return ((random_() >> 32) * n) >> 32; }
  bool one_in(unsigned n) { return random_below(n) == 0; }

 private:
  struct Place {
    RankTurns* turns;
    TurnTaker* taker;
    int rank;
    std::unique_ptr<Fiber> fiber;
    bool can_run = true;
    bool stalled = false;
    std::uint64_t looked = 0;  // after how many arrivals, in vain; 0: not since its last turn
  };

  static void fiber_body(void* place, Fiber& self);
  void pause(std::size_t taker);
  void stall_anew();
  std::size_t choose();
  bool deliver_some();

  std::vector<Place> places_;
  // Who can run, for choose(): a turn allocates nothing.
  std::vector<std::size_t> best_;
  std::vector<std::size_t> stalled_;
  std::vector<std::size_t> looking_;
  // Asked for several times an access, so a quick one; its upper half is random enough.
  std::linear_congruential_engine<std::uint64_t, 6364136223846793005U, 1442695040888963407U, 0>
      random_;
  int slow_rank_;
  std::uint64_t most_turns_;
  std::uint64_t turns_ = 0;
  std::uint64_t arrivals_ = 1;
  std::uint64_t stalled_until_ = 0;
  std::size_t next_ = 0;
  std::exception_ptr failure_;
};

}  // namespace fourge::host
