// One compile per key and host: a lock per key, held by whoever compiles it.
//
// flock(2) on a file in a directory of this user on this host (never beside the entries, which may
// lie on a network). The kernel drops the lock when its holder dies, however it dies. Only ever an
// optimisation: whoever cannot lock compiles without.
//
// The holder removes the file before it unlocks, and whoever gets a lock checks that its file is
// still the one with the name, so no two hold one key. Files of killed holders stay until the next
// holder of the same key. Locks exclude threads of one process too. A lock may be released on any
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "cache/file_descriptor.hpp"
#include "cache/key.hpp"

namespace fourge::cache {

enum class LockOutcome {
  acquired,
  timed_out,    // held by another until the deadline
  stopped,      // should_stop said so
  unavailable,  // the lock directory cannot be used
};

const char* to_string(LockOutcome outcome) noexcept;

struct LockResult;

class KeyLock {
 public:
  // nullopt: held by another, or unavailable.
  static std::optional<KeyLock> try_acquire(const std::string& directory, const CacheKey& key);

  // Waits until the lock is free, the deadline has passed or should_stop returns true. should_stop
  // is called on this thread every 10 to 25 ms while the lock is held by another, never before the
  // first try; it may look whether the entry has appeared. What it throws passes on. Otherwise does
  // not throw for what the system refuses.
  //
  // The directory is created with mode 0700 if it is missing (its parent must exist). It must be a
  // directory of this user that nobody else may write, and no symbolic link.
  static LockResult acquire(const std::string& directory, const CacheKey& key,
                            std::chrono::steady_clock::time_point deadline,
                            const std::function<bool()>& should_stop);

  ~KeyLock();
  KeyLock(KeyLock&&) noexcept = default;
  KeyLock& operator=(KeyLock&& other) noexcept;

  void release() noexcept;

 private:
  friend class KeyLockAttempt;
  KeyLock(FileDescriptor directory, FileDescriptor file, std::string name);

  FileDescriptor directory_;
  FileDescriptor file_;
  std::string name_;
};

struct LockResult {
  LockOutcome outcome = LockOutcome::unavailable;
  std::optional<KeyLock> lock;  // if acquired
  std::string detail;           // if unavailable: what is wrong with the directory
};

// RUNTIME_DIR/fourge, or /tmp/fourge-UID if there is no runtime directory.
std::string default_lock_directory(const std::string& runtime_directory, std::uint32_t user);

}  // namespace fourge::cache
