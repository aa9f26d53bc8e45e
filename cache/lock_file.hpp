// A file in a directory of this user on this host that one holder has at a time: flock(2), which the
// kernel drops when the holder dies, however it dies. Never beside the entries, which may lie on a
// network. Only ever an optimisation: whoever cannot lock works without.
//
// The holder removes the file before it unlocks, and whoever gets a lock checks that its file is
// still the one with the name, so no two hold one name. Files of killed holders stay until the next
// holder of the same name, or remove_abandoned_locks(). Locks exclude threads of one process too,
// and may be released on any thread.
//
// A holder that lives but does not work (stopped, swapped out, hung) is replaced: a thread of the
// holder stamps the file (its modification time) at every beat, and who waits and sees no new stamp
// for a while removes the file and makes one of its own. Stamps are compared with earlier stamps
// only, and the while is counted on the waiter's own clock, in small steps, so neither clocks that
// are set nor a waiter that was stopped itself count. A holder that comes back finishes without its
// lock: what it does must not depend on being alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cache/file_descriptor.hpp"

namespace fourge::cache {

enum class LockOutcome {
  acquired,
  timed_out,    // held by another until the deadline
  stopped,      // should_stop said so
  unavailable,  // the lock directory cannot be used
};

const char* to_string(LockOutcome outcome) noexcept;

struct LockTiming {
  std::chrono::milliseconds beat{500};          // how often a holder stamps its file
  std::chrono::milliseconds stuck_after{4000};  // a holder without a stamp is replaced; 0: never
  // No stamps after this: work that takes so long hangs. 0: stamps as long as the lock is held.
  std::chrono::milliseconds longest_hold{0};
};

class LockFile {
 public:
  ~LockFile();
  LockFile(LockFile&&) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;

  // Takes no longer than two system calls and the end of a thread that sleeps.
  void release() noexcept;
  // Tells those who wait for this lock now that what it was for failed; they see
  // LockFileWait::abandoned().
  void abandon() noexcept;

 private:
  friend class LockFileWait;
  class Heartbeat;
  LockFile(FileDescriptor directory, FileDescriptor file, std::string name,
           const LockTiming& timing);

  FileDescriptor directory_;
  FileDescriptor file_;
  std::string name_;
  std::unique_ptr<Heartbeat> heartbeat_;
};

// One wait for one lock file. Nothing here throws for what the system refuses.
//
// The directory is created with mode 0700 if it is missing (its parent must exist). It must be a
// directory of this user that nobody else may write, and no symbolic link.
class LockFileWait {
 public:
  LockFileWait(std::string directory, std::string name, const LockTiming& timing);

  enum class Step { locked, busy, failed };
  // One try, without waiting. To be called every few 10 ms: a holder's silence counts at most
  // kLongestStep for each call.
  Step step();
  static constexpr std::chrono::milliseconds kLongestStep{250};

  LockFile take();                                       // after locked
  const std::string& detail() const { return detail_; }  // after failed
  bool replaced() const { return replaced_; }            // a stuck holder, by this wait
  bool abandoned() const { return abandoned_; }          // a holder that was waited for said so

 private:
  bool open();
  void watch();
  bool holder_is_stuck() const;
  void replace_holder();
  bool fail(std::string detail);
  std::string describe(const char* what) const;

  std::string directory_path_;
  std::string name_;
  LockTiming timing_;
  FileDescriptor directory_;
  FileDescriptor file_;
  std::string detail_;
  bool waited_for_file_ = false;
  bool replaced_ = false;
  bool abandoned_ = false;
  std::int64_t stamp_ = 0;  // of the holder's file, nanoseconds
  std::chrono::steady_clock::duration silence_{};
  std::chrono::steady_clock::time_point looked_{};
};

// Calls step every 10 to 25 ms until it does not say busy, the deadline has passed, or should_stop
// (not before the first step; may be empty) returns true. What they throw passes on.
LockOutcome poll_lock(const std::function<LockFileWait::Step()>& step,
                      std::chrono::steady_clock::time_point deadline,
                      const std::function<bool()>& should_stop);

// Removes lock files (*.lock) that nobody holds and that were not stamped for `age`. Returns how many.
// Never throws.
std::size_t remove_abandoned_locks(const std::string& directory,
                                   std::chrono::seconds age = std::chrono::hours(1)) noexcept;

// RUNTIME_DIR/fourge, or /tmp/fourge-UID if there is no runtime directory.
std::string default_lock_directory(const std::string& runtime_directory, std::uint32_t user);

}  // namespace fourge::cache
