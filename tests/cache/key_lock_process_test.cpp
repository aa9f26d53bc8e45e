#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cache/disk_store.hpp"
#include "cache/key_lock.hpp"
#include "tests/cache/cache_support.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using cache::CacheKey;
using cache::KeyLock;
using cache::LockOutcome;

namespace {

std::chrono::steady_clock::time_point soon(std::chrono::milliseconds wait) {
  return std::chrono::steady_clock::now() + wait;
}

bool wait_for_file(const std::string& path) {
  for (int i = 0; i < 5000 && !exists(path); ++i) std::this_thread::sleep_for(2ms);
  return exists(path);
}

}  // namespace

// Each process reads a number, adds one and writes it back: any overlap loses an addition.
TEST_CASE("processes exclude each other") {
  const TemporaryDirectory directory;
  const std::string locks = directory / "locks";
  const std::string counter = directory / "counter";
  write_all(counter, "0");
  const CacheKey key = make_key("one");
  constexpr int kProcesses = 4;
  constexpr int kRounds = 40;
  StartGate gate;
  std::deque<ChildProcess> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back([&] {
      gate.wait();
      for (int round = 0; round < kRounds; ++round) {
        const auto result = KeyLock::acquire(locks, key, soon(60s), {});
        if (!result.lock) return 1;
        write_all(counter, std::to_string(std::stoi(read_all(counter)) + 1));
      }
      return 0;
    });
  }
  gate.open();
  for (ChildProcess& child : children) CHECK(child.wait() == 0);
  CHECK(read_all(counter) == std::to_string(kProcesses * kRounds));
  CHECK(fs::is_empty(locks));
}

TEST_CASE("a killed holder's lock is free within a second") {
  const TemporaryDirectory directory;
  const std::string locks = directory / "locks";
  const CacheKey key = make_key("one");
  ChildProcess holder([&] {
    const auto lock = KeyLock::try_acquire(locks, key);
    if (!lock) return 1;
    write_all(directory / "locked", "");
    for (;;) ::pause();
  });
  REQUIRE(wait_for_file(directory / "locked"));
  CHECK(KeyLock::acquire(locks, key, soon(50ms), {}).outcome == LockOutcome::timed_out);

  std::thread killer([&] {
    std::this_thread::sleep_for(50ms);
    holder.kill();
  });
  const auto begin = std::chrono::steady_clock::now();
  const auto result = KeyLock::acquire(locks, key, soon(30s), {});
  const auto waited = std::chrono::steady_clock::now() - begin;
  killer.join();
  CHECK(result.outcome == LockOutcome::acquired);
  CHECK(waited < 1050ms);
  CHECK(holder.wait() == 128 + SIGKILL);
  // The file that the dead holder left is in use again, and goes with this lock.
  CHECK(exists(locks + '/' + key.full.hex() + ".lock"));
}

TEST_CASE("a released lock is free although a forked child has a copy of its descriptor") {
  const TemporaryDirectory directory;
  const CacheKey key = make_key("one");
  auto lock = KeyLock::try_acquire(directory / "locks", key);
  REQUIRE(lock);
  ChildProcess sleeper([] {
    for (;;) ::pause();
    return 0;
  });
  // The waiter has opened the file before it is released, so it waits for this very lock.
  int polls = 0;
  const auto waiter = KeyLock::acquire(directory / "locks", key, soon(5s), [&] {
    if (++polls == 1) lock->release();
    return false;
  });
  CHECK(waiter.outcome == LockOutcome::acquired);
  CHECK(polls == 1);
}

TEST_CASE("a lock directory of another user is not used") {
  const TemporaryDirectory directory;
  const std::string locks = directory / "locks";
  const CacheKey key = make_key("one");
  fs::create_directory(locks);
  fs::permissions(locks, fs::perms(0755));
  fs::permissions(directory.path(), fs::perms(0755));
  // An ordinary user cannot make a directory of another's; the root directory is one.
  const std::string foreign = ::geteuid() == 0 ? locks : "/";
  ChildProcess child([&] {
    if (!drop_root()) return 1;
    const auto result = KeyLock::acquire(foreign, key, soon(10s), {});
    if (result.outcome != LockOutcome::unavailable) return 2;
    return result.detail.find("has owner") != std::string::npos ? 0 : 3;
  });
  CHECK(child.wait() == 0);
}

// What a runtime does: look, lock, look again, compile, publish.
TEST_CASE("processes that start at once on an empty cache compile once") {
  const TemporaryDirectory directory;
  const std::string root = directory / "root";
  const std::string locks = directory / "locks";
  const CacheKey key = make_key("one");
  const auto payload = make_payload("one", 20'000);
  constexpr int kProcesses = 16;
  StartGate gate;
  std::deque<ChildProcess> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back([&] {
      gate.wait();
      cache::DiskStore store(root);
      auto found = store.lookup(key);
      if (!found.entry) {
        const auto lock = KeyLock::acquire(locks, key, soon(60s), [&] {
          found = store.lookup(key);
          return found.entry.has_value();
        });
        if (!found.entry) found = store.lookup(key);
        if (!found.entry) {
          std::ofstream(directory / "compiles", std::ios::app) << "x" << std::flush;
          std::this_thread::sleep_for(100ms);
          return store.publish(key, payload).ok ? 0 : 1;
        }
      }
      return found.entry->payload == payload ? 0 : 2;
    });
  }
  gate.open();
  for (ChildProcess& child : children) CHECK(child.wait() == 0);
  CHECK(read_all(directory / "compiles") == "x");
  CHECK(count_files(root, "") == 1);
  CHECK(fs::is_empty(locks));
}

}  // namespace fourge::tests
