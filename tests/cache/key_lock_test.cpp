#include "cache/key_lock.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/cache/cache_support.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using cache::CacheKey;
using cache::KeyLock;
using cache::LockOutcome;
using cache::LockResult;

namespace {

LockResult acquire(const std::string& directory, const CacheKey& key,
                   std::chrono::milliseconds wait) {
  return KeyLock::acquire(directory, key, std::chrono::steady_clock::now() + wait, {});
}

}  // namespace

TEST_CASE("a key is locked once at a time, and other keys are free") {
  const TemporaryDirectory directory;
  const std::string locks = directory / "locks";
  auto held = KeyLock::try_acquire(locks, make_key("one"));
  REQUIRE(held);
  CHECK(mode_of(locks) == 0700);
  CHECK_FALSE(KeyLock::try_acquire(locks, make_key("one")));
  CHECK(KeyLock::try_acquire(locks, make_key("two")));
  held->release();
  CHECK(KeyLock::try_acquire(locks, make_key("one")));
  CHECK(fs::is_empty(locks));  // no lock file stays behind
}

TEST_CASE("a lock moves with its owner") {
  const TemporaryDirectory directory;
  auto first = KeyLock::try_acquire(directory.path(), make_key("one"));
  REQUIRE(first);
  KeyLock second = std::move(*first);
  first.reset();
  CHECK_FALSE(KeyLock::try_acquire(directory.path(), make_key("one")));
  auto other = KeyLock::try_acquire(directory.path(), make_key("two"));
  REQUIRE(other);
  second = std::move(*other);  // drops the lock of "one"
  CHECK(KeyLock::try_acquire(directory.path(), make_key("one")));
  CHECK_FALSE(KeyLock::try_acquire(directory.path(), make_key("two")));
}

TEST_CASE("a wait ends at the deadline, when told to stop, and when the lock is free") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  auto held = KeyLock::try_acquire(directory.path(), key);
  REQUIRE(held);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(acquire(directory.path(), key, 60ms).outcome == LockOutcome::timed_out);
  CHECK(std::chrono::steady_clock::now() - begin >= 60ms);

  int polls = 0;
  const LockResult stopped = KeyLock::acquire(
      directory.path(), key, std::chrono::steady_clock::now() + 60s, [&] { return ++polls == 3; });
  CHECK(stopped.outcome == LockOutcome::stopped);
  CHECK_FALSE(stopped.lock);
  CHECK(polls == 3);
  CHECK_THROWS_AS(KeyLock::acquire(directory.path(), key, std::chrono::steady_clock::now() + 60s,
                                   []() -> bool { throw std::runtime_error("stop"); }),
                  std::runtime_error);

  polls = 0;
  const LockResult free =
      KeyLock::acquire(directory.path(), key, std::chrono::steady_clock::now() + 60s, [&] {
        if (++polls == 2) held->release();
        return false;
      });
  CHECK(free.outcome == LockOutcome::acquired);
  CHECK(free.lock);
  CHECK(polls == 2);
}

TEST_CASE("threads exclude each other, however often the lock file comes and goes") {
  const TemporaryDirectory directory;
  const std::string locks = directory / "locks";
  const CacheKey key = make_key("one");
  constexpr int kThreads = 4;
  constexpr int kRounds = 50;
  std::atomic<int> inside{0};
  std::atomic<int> collisions{0};
  std::atomic<int> entered{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const LockResult result = acquire(locks, key, 60s);
        if (!result.lock) continue;
        if (inside.fetch_add(1) != 0) ++collisions;
        ++entered;
        std::this_thread::yield();
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(collisions == 0);
  CHECK(entered == kThreads * kRounds);
  CHECK(fs::is_empty(locks));
}

TEST_CASE("a directory that cannot be used is told apart from a lock that is held") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  std::string locks = directory / "locks";
  SECTION("not given") { locks.clear(); }
  SECTION("a file") { write_all(locks, "precious"); }
  SECTION("no parent") { locks = directory / "absent/locks"; }
  SECTION("where nobody may create anything") { locks = "/proc/fourge"; }
  SECTION("a symbolic link") {
    fs::create_directory(directory / "target");
    fs::create_symlink(directory / "target", locks);
  }
  SECTION("writable by others") {
    fs::create_directory(locks);
    REQUIRE(::chmod(locks.c_str(), 0777) == 0);
  }
  SECTION("writable by the group") {
    fs::create_directory(locks);
    REQUIRE(::chmod(locks.c_str(), 0770) == 0);
  }
  SECTION("a directory in the lock file's place") {
    fs::create_directories(fs::path(locks) / (key.full.hex() + ".lock"));
    fs::permissions(locks, fs::perms::owner_all);
  }
  SECTION("a link in the lock file's place") {
    fs::create_directory(locks);
    fs::permissions(locks, fs::perms::owner_all);
    fs::create_symlink(directory / "target", fs::path(locks) / (key.full.hex() + ".lock"));
  }
  SECTION("a FIFO in the lock file's place") {
    fs::create_directory(locks);
    fs::permissions(locks, fs::perms::owner_all);
    REQUIRE(::mkfifo((locks + '/' + key.full.hex() + ".lock").c_str(), 0600) == 0);
  }
  const LockResult result = acquire(locks, key, 60s);  // does not wait
  CHECK(result.outcome == LockOutcome::unavailable);
  CHECK_FALSE(result.lock);
  CHECK_FALSE(result.detail.empty());
  CHECK_FALSE(KeyLock::try_acquire(locks, key));
}

TEST_CASE("a lock file removed by a cleaner does not confuse its holder") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  const std::string file = directory / (key.full.hex() + ".lock");
  auto first = KeyLock::try_acquire(directory.path(), key);
  REQUIRE(first);
  fs::remove(file);
  auto second = KeyLock::try_acquire(directory.path(), key);
  REQUIRE(second);  // only an optimisation: both compile
  first->release();
  CHECK(exists(file));  // the second's
  CHECK_FALSE(KeyLock::try_acquire(directory.path(), key));
}

TEST_CASE("the default lock directory is the host's") {
  CHECK(cache::default_lock_directory("/run/user/1000", 1000) == "/run/user/1000/fourge");
  CHECK(cache::default_lock_directory("", 1000) == "/tmp/fourge-1000");
}

}  // namespace fourge::tests
