// Who goes on among takers that wait for one another.
#include "runtime/host/rank_turns.hpp"

#include <cstdint>
#include <fourge/error.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace {

constexpr std::uint64_t kMostTurns = 100'000;

// Does what the test says when it has its turns.
class Taker final : public host::TurnTaker {
 public:
  explicit Taker(int rank) : rank_(rank) {}

  int rank() const override { return rank_; }
  void body() override { work(); }
  void pause() override {}
  void resume() override {}
  bool deliver() override { return on_deliver && on_deliver(); }

  std::function<void()> work = [] {};
  std::function<bool()> on_deliver;

 private:
  int rank_;
};

struct Group {
  explicit Group(int count) {
    for (int i = 0; i < count; ++i) {
      takers.push_back(std::make_unique<Taker>(i));
    }
  }
  Taker& operator[](std::size_t i) { return *takers[i]; }
  void run(std::uint64_t seed) {
    std::vector<host::TurnTaker*> list;
    for (const auto& taker : takers) list.push_back(taker.get());
    turns = std::make_unique<host::RankTurns>(list, seed, -1, kMostTurns);
    turns->run();
  }

  std::vector<std::unique_ptr<Taker>> takers;
  std::unique_ptr<host::RankTurns> turns;
};

}  // namespace

TEST_CASE("who looked in vain has no turn until something arrives", "[host]") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Group group(3);
    bool is_there = false;
    int looks = 0;
    for (std::size_t waiter : {0U, 1U}) {
      group[waiter].work = [&, waiter] {
        while (!is_there) {
          ++looks;
          group.turns->look_again(waiter);
        }
      };
    }
    group[2].work = [&] {
      for (int i = 0; i < 1000; ++i) group.turns->hand_over(2);
      is_there = true;
      group.turns->arrived();
    };
    group.run(seed);
    INFO(seed);
    CHECK(looks <= 2);
  }
}

TEST_CASE("when all look in vain, what is on its way arrives", "[host]") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Group group(4);
    int on_the_way = 3;
    int looks = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      group[i].work = [&, i] {
        while (on_the_way != 0) {
          ++looks;
          group.turns->look_again(i);
        }
      };
    }
    group[3].on_deliver = [&] {
      if (on_the_way == 0) return false;
      --on_the_way;
      group.turns->arrived();
      return true;
    };
    group.run(seed);
    INFO(seed);
    CHECK(looks <= 4 * 4);
  }
}

TEST_CASE("those who wait for what nobody sends go on looking until the turns are used up",
          "[host]") {
  Group group(2);
  int looks = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    group[i].work = [&, i] {
      while (true) {
        ++looks;
        group.turns->look_again(i);
      }
    };
  }
  CHECK_THROWS_AS(group.run(1), Error);
  CHECK(looks > 1000);
}

}  // namespace fourge::tests
