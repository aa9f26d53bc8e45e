// What has happened in all processes that used a cache directory, kept in it.
//
//   ROOT/usage/counters           a log of batches (cache/record_log.hpp)
//   ROOT/usage/counters.*.fold    a log that has become long and waits to be added up
//
//   batch = (batch tag : id) (batch tag + 1 : count) (counter number : difference)*count
//
// A process notes what it did by appending one batch: when something was compiled, failed or was healed,
// now and then, and at its end. A kill loses what was not yet noted: the last hits. When the log has grown long, it is renamed, and once nobody can be writing to
// it any more (kFoldAge) its sum is appended as one batch whose id is that of the old file, which
// is then removed. A batch of an id counts once, and the file of an id that counts no more: so a
// crash between the two, and two processes that do it at once, change no sum.
//
// Damaged bytes are passed over and mentioned. Numbers of counters are never used again for
// another meaning. Thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "cache/file_system.hpp"
#include "cache/record_log.hpp"

namespace fourge::cache {

// The numbers stand in files: append only.
enum class CounterId : std::uint8_t {
  memory_hits,
  local_hits,
  read_only_hits,
  bundle_hits,
  miss_absent,
  miss_format,
  miss_key,
  miss_corrupt,
  miss_unreadable,
  miss_untrusted,
  miss_disabled,
  compiles,
  compile_failures,
  remembered_failures,
  waits,
  heals,
  publish_failures,
  evictions,
  bytes_written,
  bytes_evicted,
  compile_nanoseconds,
  lookup_nanoseconds,
  replaced_holders,
  promotions,
  promotion_failures,
  loads,
  wait_nanoseconds,
};
inline constexpr std::size_t kCounterCount = 27;

// "memory_hits", ...
const char* to_string(CounterId id) noexcept;

struct CounterValues {
  std::array<std::uint64_t, kCounterCount> values{};

  std::uint64_t& operator[](CounterId id) { return values[static_cast<std::size_t>(id)]; }
  std::uint64_t operator[](CounterId id) const { return values[static_cast<std::size_t>(id)]; }
  bool empty() const noexcept;
};

struct CounterTotals {
  CounterValues values;
  std::string note;  // what could not be read; empty if all is well
};

class DiskCounters {
 public:
  static constexpr std::chrono::seconds kFlushInterval{5};
  static constexpr std::chrono::seconds kFoldAge{60};
  static constexpr std::uint64_t kLogBytes = 64U << 10U;

  // The file system must outlive the object. An empty root, or one that does not exist when it
  // comes to writing, keeps nothing; so does one that cannot be written.
  explicit DiskCounters(std::string root, FileSystem& files = posix_file_system(),
                        TrustPolicy trust = {});
  ~DiskCounters();
  DiskCounters(const DiskCounters&) = delete;
  DiskCounters& operator=(const DiskCounters&) = delete;

  // The process's counters as they are now, from zero at its start; what is new since the last call
  // is written: at once if a compile, a failure, a bad entry or an eviction is among it, else every
  // kFlushInterval and at the end.
  void record(const CounterValues& now) noexcept;
  void flush() noexcept;

  // Of all processes. Never throws for what the system refuses.
  CounterTotals totals();
  // Back to zero, as far as files can be removed; false and the reason otherwise.
  bool reset(std::string& reason);

 private:
  struct Sum;
  struct Logs;

  void write(const CounterValues& difference);
  void fold();
  void add_log(const std::vector<Record>& records, Sum& sum) const;
  std::vector<std::string> fold_names();
  Logs read_logs();

  Root root_;
  FileSystem& files_;
  RecordLog log_;
  std::mutex mutex_;  // of what follows
  CounterValues current_;
  CounterValues written_;
  std::chrono::steady_clock::time_point next_flush_;
};

}  // namespace fourge::cache
