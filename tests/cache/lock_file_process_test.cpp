// Holders that stop, hang or give up; and slots.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <filesystem>
#include <new>
#include <thread>

#include "cache/compile_slots.hpp"
#include "cache/key_lock.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using cache::KeyLock;
using cache::LockOutcome;
using cache::LockResult;
using cache::LockTiming;
using cache::SlotResult;
using Clock = std::chrono::steady_clock;

namespace {

bool wait_for_file(const std::string& path) {
  for (int i = 0; i < 5000 && !exists(path); ++i) std::this_thread::sleep_for(2ms);
  return exists(path);
}

// Counts those inside, over processes.
class SharedCount {
 public:
  SharedCount() {
    void* memory =
        ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    counts_ = new (memory) Counts;
  }
  ~SharedCount() { ::munmap(counts_, sizeof(Counts)); }
  SharedCount(const SharedCount&) = delete;
  SharedCount& operator=(const SharedCount&) = delete;

  void enter() const {
    const int inside = ++counts_->inside;
    int most = counts_->most;
    while (most < inside && !counts_->most.compare_exchange_weak(most, inside)) {
    }
    ++counts_->entered;
  }
  void leave() const { --counts_->inside; }
  int most() const { return counts_->most; }
  int entered() const { return counts_->entered; }

 private:
  struct Counts {
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    std::atomic<int> entered{0};
  };
  Counts* counts_;
};

constexpr LockTiming kQuick{20ms, 1000ms, 0ms};

}  // namespace

TEST_CASE("a stopped holder is replaced, and does no harm when it comes back") {
  const TemporaryDirectory directory;
  const std::string locks = directory / "locks";
  const auto key = make_key("one");
  ChildProcess holder([&] {
    auto result = KeyLock::acquire(locks, key, Clock::now() + 10s, {}, kQuick);
    if (!result.lock) return 1;
    write_all(directory / "locked", "");
    if (!wait_for_file(directory / "continue")) return 2;
    result.lock->release();
    return 0;
  });
  REQUIRE(wait_for_file(directory / "locked"));
  holder.signal(SIGSTOP);
  const auto begin = Clock::now();
  LockResult result = KeyLock::acquire(locks, key, begin + 60s, {}, kQuick);
  const auto waited = Clock::now() - begin;
  CHECK(result.outcome == LockOutcome::acquired);
  CHECK(result.replaced);
  CHECK(waited >= 900ms);
  CHECK(waited < 5s);
  write_all(directory / "continue", "");
  holder.signal(SIGCONT);
  CHECK(holder.wait() == 0);
  // Its release has not taken the file of the lock that is held now.
  CHECK(KeyLock::acquire(locks, key, Clock::now(), {}).outcome == LockOutcome::timed_out);
  result.lock->release();
  CHECK(fs::is_empty(locks));
}

TEST_CASE("a stopped holder is replaced within five seconds by default") {
  const TemporaryDirectory directory;
  const std::string locks = directory / "locks";
  const auto key = make_key("one");
  ChildProcess holder([&] {
    const auto lock = KeyLock::try_acquire(locks, key);
    write_all(directory / "locked", "");
    for (;;) ::pause();
    return lock ? 0 : 1;
  });
  REQUIRE(wait_for_file(directory / "locked"));
  holder.signal(SIGSTOP);
  const auto begin = Clock::now();
  CHECK(KeyLock::acquire(locks, key, begin + 60s, {}).replaced);
  CHECK(Clock::now() - begin < 5s);
}

TEST_CASE("a holder at work is not replaced, one that hangs is") {
  bool hangs = false;
  SECTION("at work") {}
  SECTION("hangs") { hangs = true; }
  const TemporaryDirectory directory;
  const std::string locks = directory / "locks";
  const auto key = make_key("one");
  LockTiming timing = kQuick;
  if (hangs) timing.longest_hold = 100ms;
  ChildProcess holder([&] {
    const auto result = KeyLock::acquire(locks, key, Clock::now(), {}, timing);
    if (!result.lock) return 1;
    write_all(directory / "locked", "");
    for (;;) ::pause();
    return 0;
  });
  REQUIRE(wait_for_file(directory / "locked"));
  const LockResult result =
      KeyLock::acquire(locks, key, Clock::now() + (hangs ? 60s : 2s), {}, kQuick);
  CHECK(result.outcome == (hangs ? LockOutcome::acquired : LockOutcome::timed_out));
  CHECK(result.replaced == hangs);
}

TEST_CASE("many who wait for a stopped holder go on one by one") {
  const TemporaryDirectory directory;
  const std::string locks = directory / "locks";
  const auto key = make_key("one");
  ChildProcess holder([&] {
    const auto lock = KeyLock::try_acquire(locks, key);
    write_all(directory / "locked", "");
    for (;;) ::pause();
    return lock ? 0 : 1;
  });
  REQUIRE(wait_for_file(directory / "locked"));
  holder.signal(SIGSTOP);
  const SharedCount count;
  constexpr int kWaiters = 8;
  std::deque<ChildProcess> waiters;
  for (int i = 0; i < kWaiters; ++i) {
    waiters.emplace_back([&] {
      const auto result = KeyLock::acquire(locks, key, Clock::now() + 60s, {}, kQuick);
      if (!result.lock) return 1;
      count.enter();
      std::this_thread::sleep_for(20ms);
      count.leave();
      return 0;
    });
  }
  for (ChildProcess& waiter : waiters) CHECK(waiter.wait() == 0);
  CHECK(count.entered() == kWaiters);
  CHECK(count.most() == 1);
}

TEST_CASE("who waits is told when a holder gives up, who comes later is not") {
  const TemporaryDirectory directory;
  const std::string locks = directory / "locks";
  const auto key = make_key("one");
  auto held = KeyLock::try_acquire(locks, key);
  REQUIRE(held);
  const LockResult waiter = KeyLock::acquire(locks, key, Clock::now() + 10s, [&] {
    held->abandon();
    return false;
  });
  CHECK(waiter.outcome == LockOutcome::acquired);
  CHECK(waiter.abandoned);
  const LockResult other = KeyLock::acquire(locks, make_key("two"), Clock::now(), {});
  CHECK(other.lock);
  CHECK_FALSE(other.abandoned);
}

TEST_CASE("a release does not wait for the next beat") {
  const TemporaryDirectory directory;
  const auto begin = Clock::now();
  for (int i = 0; i < 20; ++i) {
    CHECK(
        KeyLock::acquire(directory.path(), make_key("one"), begin + 60s, {}, {10s, 60s, 0ms}).lock);
  }
  CHECK(Clock::now() - begin < 5s);
  CHECK(fs::is_empty(directory.path()));
}

TEST_CASE("lock files without a holder are swept when they are old") {
  const TemporaryDirectory directory;
  write_all(directory / "dead.lock", "");
  write_all(directory / "not ours", "");
  CHECK(cache::remove_abandoned_locks(directory.path()) == 0);
  fs::last_write_time(directory / "dead.lock", fs::file_time_type::clock::now() - 2h);
  fs::last_write_time(directory / "not ours", fs::file_time_type::clock::now() - 2h);
  CHECK(cache::remove_abandoned_locks(directory.path()) == 1);
  CHECK(exists(directory / "not ours"));
  const auto held =
      KeyLock::acquire(directory.path(), make_key("one"), Clock::now(), {}, {0ms, 0ms, 0ms});
  REQUIRE(held.lock);
  const std::string file = directory / (make_key("one").full.hex() + ".lock");
  fs::last_write_time(file, fs::file_time_type::clock::now() - 2h);
  CHECK(cache::remove_abandoned_locks(directory.path()) == 0);
  CHECK(exists(file));
  CHECK(cache::remove_abandoned_locks(directory / "absent") == 0);
}

TEST_CASE("no more processes compile at once than there are slots") {
  const TemporaryDirectory directory;
  const std::string locks = directory / "locks";
  const SharedCount count;
  constexpr int kProcesses = 12;
  StartGate gate;
  std::deque<ChildProcess> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back([&] {
      gate.wait();
      const SlotResult result = cache::acquire_compile_slot(locks, 3, Clock::now() + 60s, {});
      if (!result.slot) return 1;
      count.enter();
      std::this_thread::sleep_for(50ms);
      count.leave();
      return 0;
    });
  }
  gate.open();
  for (ChildProcess& child : children) CHECK(child.wait() == 0);
  CHECK(count.entered() == kProcesses);
  CHECK(count.most() <= 3);
  CHECK(count.most() >= 2);
  CHECK(fs::is_empty(locks));
}

TEST_CASE("slots of the dead and the stopped are free again; a wait for one is bounded") {
  const TemporaryDirectory directory;
  const std::string locks = directory / "locks";
  const auto hold = [&](const char* name) {
    return ChildProcess([&, name] {
      const auto result = cache::acquire_compile_slot(locks, 2, Clock::now(), {}, kQuick);
      write_all(directory / name, "");
      for (;;) ::pause();
      return result.slot ? 0 : 1;
    });
  };
  ChildProcess first = hold("first");
  ChildProcess second = hold("second");
  REQUIRE(wait_for_file(directory / "first"));
  REQUIRE(wait_for_file(directory / "second"));
  CHECK(cache::acquire_compile_slot(locks, 2, Clock::now() + 100ms, {}, kQuick).outcome ==
        LockOutcome::timed_out);
  int polls = 0;
  CHECK(cache::acquire_compile_slot(locks, 2, Clock::now() + 60s, [&] {
          return ++polls == 3;
        }).outcome == LockOutcome::stopped);
  SECTION("dead") {
    second.kill();
    CHECK(cache::acquire_compile_slot(locks, 2, Clock::now() + 5s, {}, kQuick).slot);
  }
  SECTION("stopped") {
    first.signal(SIGSTOP);
    CHECK(cache::acquire_compile_slot(locks, 2, Clock::now() + 60s, {}, kQuick).slot);
  }
}

TEST_CASE("without a usable directory there are no slots and nobody waits") {
  const SlotResult result = cache::acquire_compile_slot("/proc/fourge", 2, Clock::now() + 60s, {});
  CHECK(result.outcome == LockOutcome::unavailable);
  CHECK_FALSE(result.detail.empty());
  CHECK(cache::default_compile_slots() >= 1);
  CHECK(cache::default_compile_slots() <= cache::usable_processors());
}

}  // namespace fourge::tests
