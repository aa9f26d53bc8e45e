// Where bad entries go: out of the way of look-ups, still there for whoever wants to know what
// happened. Bounded: the newest are kept, at most kQuarantineLimit and kQuarantineBytes of them.
//
// A file is named TIME.PID.NUMBER.CAUSE.ENTRY with TIME in nanoseconds since 1970 (20 digits) and
// ENTRY its former name. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "cache/entry.hpp"
#include "cache/file_system.hpp"

namespace fourge::cache {

inline constexpr std::size_t kQuarantineLimit = 32;
inline constexpr std::uint64_t kQuarantineBytes = std::uint64_t{64} << 20U;

class Quarantine {
 public:
  // Touches nothing; the directory, which lies below the root, is created with the first bad entry.
  // Root and file system must outlive this.
  Quarantine(const Root& root, std::string directory, FileSystem& files);

  const std::string& directory() const noexcept { return directory_; }

  // Moves directory/name here if it is still the file that was judged. False if it could not be
  // moved or another process was quicker; a good entry that has taken its place meanwhile stays.
  bool set_aside(const std::string& directory, const std::string& name, MissCause cause,
                 const FileStatus& judged);

  // True for names that set_aside() gives.
  static bool is_quarantine_name(std::string_view name) noexcept;

 private:
  FilePath in_root(std::string path) const { return {root_, std::move(path)}; }
  std::string make_name(const std::string& name, MissCause cause);
  void prune();
  void discard(const FilePath& path, const FileStatus& status, int depth, std::size_t& removals);

  const Root& root_;
  std::string directory_;
  FileSystem& files_;
  std::atomic<std::uint32_t> counter_{0};
};

}  // namespace fourge::cache
