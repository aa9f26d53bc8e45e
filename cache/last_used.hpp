// When entries were last used: our own stamps, because many file systems keep no access times.
//
//   ROOT/usage/SHARD.used   records (cache/record_log.hpp) of an entry's tag and a time in microseconds
//                           since 1970; the last record of an entry counts
//
// Stamps are hints: they may be lost by a crash or a race, and then an entry seems to be as old as
// its file. A time in the future is as good as now; the evictor writes it so, and it ages from there.
// Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>

#include "cache/file_system.hpp"
#include "cache/key.hpp"
#include "cache/record_log.hpp"

namespace fourge::cache {

class LastUsed {
 public:
  using Time = std::chrono::system_clock::time_point;
  using Stamps = std::map<std::uint64_t, Time>;  // by tag

  // Root and file system must outlive the object. A stamp of one entry is written at most once an interval by this object.
  LastUsed(const Root& root, std::chrono::milliseconds interval, FileSystem& files);

  // Notes that the entry is in use now. What fails is ignored.
  void stamp(const CacheKey& key) noexcept;
  void stamp(const CacheKey& key, Time now, std::chrono::steady_clock::time_point clock) noexcept;

  // Of one shard, two digits; empty if there are none or they cannot be read.
  Stamps read(const std::string& shard);
  // Writes the stamps in place of those that are there. Failures are ignored.
  void replace(const std::string& shard, const Stamps& stamps);

  // What stands for an entry in the records.
  static std::uint64_t tag_of(const Digest& full) noexcept;
  std::string path_of(const std::string& shard) const;

 private:
  RecordLog log_of(const std::string& shard) const;

  const Root& root_;
  std::chrono::milliseconds interval_;
  FileSystem& files_;
  std::mutex mutex_;
  std::unordered_map<Digest, std::chrono::steady_clock::time_point> written_;
};

}  // namespace fourge::cache
