// One compile per key and host: a lock per key, held by whoever compiles it (cache/lock_file.hpp).
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "cache/key.hpp"
#include "cache/lock_file.hpp"

namespace fourge::cache {

struct LockResult;

class KeyLock {
 public:
  // nullopt: held by another, or unavailable.
  static std::optional<KeyLock> try_acquire(const std::string& directory, const CacheKey& key);

  // Waits until the lock is free, the deadline has passed or should_stop returns true. should_stop
  // is called on this thread every 10 to 25 ms while the lock is held by another, never before the
  // first try; it may look whether the entry has appeared. What it throws passes on. Otherwise does
  // not throw for what the system refuses.
  static LockResult acquire(const std::string& directory, const CacheKey& key,
                            std::chrono::steady_clock::time_point deadline,
                            const std::function<bool()>& should_stop,
                            const LockTiming& timing = {});

  void release() noexcept { file_.release(); }
  // To be called instead of release() if there will be no entry: those who wait now get
  // LockResult::abandoned.
  void abandon() noexcept { file_.abandon(); }

 private:
  explicit KeyLock(LockFile file) : file_(std::move(file)) {}

  LockFile file_;
};

struct LockResult {
  LockOutcome outcome = LockOutcome::unavailable;
  std::optional<KeyLock> lock{};  // if acquired
  std::string detail{};           // if unavailable: what is wrong with the directory
  bool replaced = false;          // a stuck holder was replaced by this call
  bool abandoned = false;         // a holder that was waited for could not publish
};

}  // namespace fourge::cache
