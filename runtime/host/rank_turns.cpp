#include "runtime/host/rank_turns.hpp"

#include <fmt/format.h>

#include <fourge/error.hpp>
#include <utility>

namespace fourge::host {

RankTurns::RankTurns(const std::vector<TurnTaker*>& takers, std::uint64_t seed, int slow_rank,
                     std::uint64_t most_turns)
    : random_(seed), slow_rank_(slow_rank), most_turns_(most_turns) {
  places_.reserve(takers.size());
  for (TurnTaker* const taker : takers) {
    Place& place = places_.emplace_back(Place{this, taker, taker->rank(), nullptr});
    place.fiber = std::make_unique<Fiber>(&RankTurns::fiber_body, &place);
  }
  next_ = random_below(places_.size());
}

void RankTurns::fiber_body(void* place, Fiber& /*self*/) {
  const auto& own = *static_cast<Place*>(place);
  if (own.turns->failure_) {
    return;
  }
  try {
    own.taker->body();
  } catch (const TurnsFailed&) {
    // Recorded where it failed.
  } catch (...) {
    if (!own.turns->failure_) {
      own.turns->failure_ = std::current_exception();
    }
  }
}

void RankTurns::run() {
  while (!failure_ && next_ != places_.size()) {
    Place& place = places_[next_];
    place.fiber->enter();
    if (!place.fiber->finished() || failure_) {
      continue;
    }
    place.can_run = false;
    try {
      next_ = choose();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }
  if (!failure_) {
    return;
  }
  for (Place& place : places_) {
    if (!place.fiber->finished()) {
      place.fiber->enter();
    }
  }
  std::rethrow_exception(failure_);
}

void RankTurns::pause(std::size_t taker) {
  Place& place = places_[taker];
  place.taker->pause();
  place.fiber->leave();
  place.taker->resume();
  if (failure_) {
    throw TurnsFailed{};
  }
}

// For a while some, and at times a whole rank, stand still as long as others can run.
void RankTurns::stall_anew() {
  stalled_until_ = turns_ + 1 + random_below(400);
  const bool whole_rank = one_in(2);
  const int rank = places_[random_below(places_.size())].rank;
  for (Place& place : places_) {
    place.stalled = (whole_rank && place.rank == rank) || one_in(4);
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
  do {
    best_.clear();
    stalled_.clear();
    looking_.clear();
    for (std::size_t i = 0; i < places_.size(); ++i) {
      const Place& place = places_[i];
      if (place.can_run) {
        const bool stands = place.stalled || (!slow_too && place.rank == slow_rank_);
        (place.looked == arrivals_ ? looking_ : stands ? stalled_ : best_).push_back(i);
      }
    }
    // Rather than let those look again who see what they saw before.
  } while (best_.empty() && !looking_.empty() && deliver_some());
  const auto& among = !best_.empty() ? best_ : !stalled_.empty() ? stalled_ : looking_;
  return among.empty() ? places_.size() : among[random_below(among.size())];
}

bool RankTurns::deliver_some() {
  const std::size_t first = random_below(places_.size());
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (places_[(first + i) % places_.size()].taker->deliver()) return true;
  }
  return false;
}

void RankTurns::hand_over(std::size_t taker) {
  next_ = choose();
  if (next_ != taker) {
    pause(taker);
  }
}

void RankTurns::look_again(std::size_t taker) {
  places_[taker].looked = arrivals_;
  hand_over(taker);
  places_[taker].looked = 0;
}

void RankTurns::sleep(std::size_t taker) {
  places_[taker].can_run = false;
  next_ = choose();
  if (next_ == places_.size()) {
    throw Error(ErrorKind::internal, "host execution of ranks: all blocks wait");
  }
  pause(taker);
}

}  // namespace fourge::host
