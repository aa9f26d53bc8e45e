// A file of pairs of numbers that many processes append to, without locks. For what may be
// approximate and must never be in the way: last-used stamps, sizes, counters.
//
//   log    = record*
//   record = tag:u64 value:u64 check:u64     little-endian; check = a mix of the two and a constant
//
// Records of one append() are written by one write(2) with O_APPEND. Bytes that are no record are
// passed over, so a torn write costs the record that was torn. A log above kMaximumLogBytes is
// not read any more; whoever finds it so removes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cache/file_system.hpp"

namespace fourge::cache {

// Below a cache root, beside the entries' directory.
inline constexpr const char* kUsageDirectory = "usage";

inline constexpr std::size_t kMaximumLogBytes = 4U << 20U;

struct Record {
  std::uint64_t tag = 0;
  std::uint64_t value = 0;
};

struct LogContents {
  std::vector<Record> records;
  std::uint64_t bytes = 0;          // of the file
  std::uint64_t damaged_bytes = 0;  // that were no record
  int error = 0;                    // errno; ENOENT: there is no log
};

class RecordLog {
 public:
  // ROOT/usage/NAME. The directory is made by the first append, if the root exists. Root and file
  // system must outlive the log.
  RecordLog(const Root& root, const std::string& name, FileSystem& files);

  const std::string& path() const noexcept { return path_; }

  // The size afterwards.
  IoResult<std::uint64_t> append(const std::vector<Record>& records);
  LogContents read();
  // In place of all that is there, by rename. What others append meanwhile is lost.
  IoStatus replace(const std::vector<Record>& records);

  static std::string encode(const std::vector<Record>& records);
  static LogContents parse(std::span<const std::byte> bytes);

 private:
  FilePath in_root(std::string path) const { return {*root_, std::move(path)}; }

  const Root* root_;
  std::string path_;
  FileSystem* files_;
};

}  // namespace fourge::cache
