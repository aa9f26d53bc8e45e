// What runtimes of many processes do with one cache, with compiles that only sleep.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <thread>

#include "cache/disk_store.hpp"
#include "cache/evictor.hpp"
#include "cache/single_flight.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using cache::CacheKey;
using cache::DiskStore;
using cache::FlightReport;
using Clock = std::chrono::steady_clock;

namespace {

// A process with the cache below a directory, and with the host's locks.
struct Place {
  std::string root;
  std::string locks;
  std::string counter;  // a letter for each compile
  std::size_t slots = 0;
  std::chrono::milliseconds compile_time{50};
  bool may_publish = true;

  cache::FlightOptions options() const {
    cache::FlightOptions options;
    options.lock_directory = locks;
    options.scope = root;
    options.slots = slots;
    return options;
  }
};

struct Obtained {
  std::vector<std::byte> payload;
  FlightReport report;
};

Obtained obtain(const Place& place, const std::string& name) {
  DiskStore store(place.root);
  const CacheKey key = make_key(name);
  Obtained result;
  const auto take = [&] {
    auto found = store.lookup(key);
    if (!found.entry) return false;
    result.payload = std::move(found.entry->payload);
    return true;
  };
  if (take()) return result;
  const auto make = [&] {
    std::ofstream(place.counter, std::ios::app) << 'x' << std::flush;
    std::this_thread::sleep_for(place.compile_time);
    result.payload = make_payload(name, 20'000);
    return place.may_publish && store.publish(key, result.payload).ok;
  };
  const auto appeared = [&] { return exists(store.path_of(key)); };
  result.report = cache::make_once(key, place.options(), {appeared, take, make});
  return result;
}

constexpr int kProcesses = 64;
const std::vector<std::string> kNames{"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"};

// The number of processes in which something was wrong.
int run_processes(const Place& place, int processes) {
  StartGate gate;
  std::deque<ChildProcess> children;
  for (int i = 0; i < processes; ++i) {
    children.emplace_back([&, i] {
      gate.wait();
      for (std::size_t k = 0; k < kNames.size(); ++k) {
        const std::string& name = kNames[(k + static_cast<std::size_t>(i)) % kNames.size()];
        if (obtain(place, name).payload != make_payload(name, 20'000)) return 1;
      }
      return 0;
    });
  }
  gate.open();
  int bad = 0;
  for (ChildProcess& child : children) bad += child.wait() == 0 ? 0 : 1;
  return bad;
}

std::size_t count_entries(const Place& place) { return count_files(place.root + "/v2", ".fourge"); }

}  // namespace

TEST_CASE("64 processes, 8 keys, an empty cache: 8 compiles") {
  const TemporaryDirectory directory;
  Place place{directory / "root", directory / "locks", directory / "counter"};
  SECTION("without a limit of compiles at once") {}
  SECTION("two compiles at once") { place.slots = 2; }
  CHECK(run_processes(place, kProcesses) == 0);
  CHECK(read_all(place.counter) == std::string(kNames.size(), 'x'));
  CHECK(count_entries(place) == kNames.size());
  CHECK(count_files(place.root, ".tmp") == 0);
  CHECK(fs::is_empty(place.locks));
  CHECK_FALSE(exists(DiskStore(place.root).quarantine_directory()));
}

TEST_CASE("64 processes, 8 keys, no usable lock directory: all succeed") {
  const TemporaryDirectory directory;
  Place place{directory / "root", directory / "locks", directory / "counter"};
  place.slots = 2;
  write_all(place.locks, "in the way");
  CHECK(run_processes(place, kProcesses) == 0);
  CHECK(read_all(place.counter).size() >= kNames.size());
  CHECK(count_entries(place) == kNames.size());
  CHECK(count_files(place.root, ".tmp") == 0);
}

TEST_CASE("a cache that cannot be written does not make processes wait for one another") {
  const TemporaryDirectory directory;
  Place place{directory / "root", directory / "locks", directory / "counter"};
  place.compile_time = 300ms;
  place.may_publish = false;
  constexpr int kWaiters = 16;
  StartGate gate;
  std::deque<ChildProcess> children;
  for (int i = 0; i < kWaiters; ++i) {
    children.emplace_back([&] {
      gate.wait();
      return obtain(place, "one").payload == make_payload("one", 20'000) ? 0 : 1;
    });
  }
  const auto begin = Clock::now();
  gate.open();
  for (ChildProcess& child : children) CHECK(child.wait() == 0);
  // One by one it would take 4.8 s.
  CHECK(Clock::now() - begin < 3s);
  CHECK(read_all(place.counter).size() == kWaiters);
  CHECK(fs::is_empty(place.locks));
}

TEST_CASE("an entry that appears and is no good is waited out, not believed") {
  const TemporaryDirectory directory;
  Place place{directory / "root", directory / "locks", directory / "counter"};
  DiskStore store(place.root);
  REQUIRE(store.publish(make_key("one"), make_payload("one")).ok);
  fs::resize_file(store.path_of(make_key("one")), 50);
  int taken = 0;
  // take() that cannot set the bad entry aside: it is there for ever.
  const FlightReport report =
      cache::make_once(make_key("one"), place.options(),
                       {[&] { return exists(store.path_of(make_key("one"))); },
                        [&] { return ++taken < 0; }, [&] { return true; }});
  CHECK(report.made);
  CHECK_FALSE(report.waited);
  CHECK(fs::is_empty(place.locks));
}

TEST_CASE("what the work throws passes on, and the lock is free") {
  const TemporaryDirectory directory;
  const Place place{directory / "root", directory / "locks", directory / "counter"};
  const auto fail = []() -> bool { throw std::runtime_error("no"); };
  const auto no = [] { return false; };
  CHECK_THROWS_AS(cache::make_once(make_key("one"), place.options(), {no, no, fail}),
                  std::runtime_error);
  CHECK(fs::is_empty(place.locks));
  CHECK(cache::make_once(make_key("one"), place.options(), {no, no, [] { return true; }}).made);
}

// FOURGE_LONG=1 (the label long): 200 rounds.
TEST_CASE("kill -9 at random moments: no bad entry is used, and the others go on") {
  const TemporaryDirectory directory;
  Place place{directory / "root", directory / "locks", directory / "counter"};
  place.compile_time = 10ms;
  place.slots = 2;
  const bool thorough = std::getenv("FOURGE_LONG") != nullptr;
  const int rounds = thorough ? 200 : 20;
  std::mt19937 random(4);
  const auto below = [&](unsigned limit) { return static_cast<std::size_t>(random() % limit); };
  auto longest = Clock::duration::zero();
  int killed = 0;
  for (int round = 0; round < rounds; ++round) {
    const std::string name = "round " + std::to_string(round);
    StartGate gate;
    std::deque<ChildProcess> victims;
    // A writer, an evictor, and two that hold or wait.
    victims.emplace_back([&] {
      gate.wait();
      DiskStore store(place.root);
      for (;;) static_cast<void>(store.publish(make_key(name), make_payload(name, 20'000)));
      return 0;
    });
    victims.emplace_back([&] {
      gate.wait();
      cache::EvictionPolicy policy;
      policy.byte_limit = 30'000;
      policy.keep_recent = 0;
      policy.lock_directory = place.locks;
      policy.in_use_window = 0ms;
      cache::Evictor evictor(place.root, policy);
      for (;;) static_cast<void>(evictor.trim());
      return 0;
    });
    for (int i = 0; i < 2; ++i) {
      victims.emplace_back([&] {
        gate.wait();
        for (;;) static_cast<void>(obtain(place, name));
        return 0;
      });
    }
    std::deque<ChildProcess> survivors;
    for (int i = 0; i < 4; ++i) {
      survivors.emplace_back([&] {
        gate.wait();
        return obtain(place, name).payload == make_payload(name, 20'000) ? 0 : 1;
      });
    }
    gate.open();
    std::vector<std::size_t> order{0, 1, 2, 3};
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t victim : order) {
      std::this_thread::sleep_for(std::chrono::microseconds(below(12'000)));
      victims[victim].kill();
    }
    const auto begin = Clock::now();
    for (ChildProcess& survivor : survivors) REQUIRE(survivor.wait() == 0);
    longest = std::max(longest, Clock::now() - begin);
    for (ChildProcess& victim : victims) killed += victim.wait() == 128 + SIGKILL ? 1 : 0;
    const auto found = DiskStore(place.root).lookup(make_key(name));
    REQUIRE((!found.entry || found.entry->payload == make_payload(name, 20'000)));
    REQUIRE((found.entry || found.cause == cache::MissCause::absent));
  }
  CHECK(longest < 5s);
  CHECK(killed == 4 * rounds);
  CHECK_FALSE(exists(DiskStore(place.root).quarantine_directory()));
  cache::remove_abandoned_locks(place.locks, 0s);
  CHECK(fs::is_empty(place.locks));
}

}  // namespace fourge::tests
