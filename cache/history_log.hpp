// What processes asked a cache for, so that a cache can be filled with that before the next start.
//
//   ROOT/usage/history          lines that many processes append to, without locks
//   ROOT/usage/history.*.fold   one that has become long and waits to be gone through
//
//   line = check:16 hex digits ' ' seconds since 1970 ' ' text '\n'     check: of what follows it
//
// A line is written by one write(2) with O_APPEND; lines whose check is wrong are passed over, so a
// torn write or a bad sector costs the lines that it hit. Texts are a set: that one is there twice means
// nothing, and so nothing that happens in the middle of a clean-up loses or invents any. When the log is
// longer than kHistoryBytes it is renamed, and once nobody can be writing to it any more
// (kHistoryFoldAge) its texts, the newest kHistoryTexts of them, are appended to the new log, and it is
// removed. While too many wait for that, nothing is added. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cache/file_system.hpp"
#include "cache/record_log.hpp"

namespace fourge::cache {

inline constexpr std::size_t kHistoryBytes = 256U << 10U;
inline constexpr std::size_t kHistoryTexts = 512;
inline constexpr std::size_t kHistoryTextBytes = 255;
inline constexpr std::size_t kHistoryFolds = 8;
inline constexpr std::chrono::seconds kHistoryFoldAge{60};

struct HistoryText {
  std::string text;
  std::chrono::system_clock::time_point last;  // to the second
};

struct HistoryContents {
  std::vector<HistoryText> texts;  // each once, the newest first
  std::size_t damaged_lines = 0;
  std::string note;  // what could not be read; empty if all is well
};

class HistoryLog {
 public:
  // The file system must outlive this. Nothing is created before the first append.
  explicit HistoryLog(std::string root, FileSystem& files = posix_file_system(),
                      TrustPolicy trust = {});

  // Never throws. False if it could not be written, or the text is empty, has a control character or
  // is longer than kHistoryTextBytes.
  bool append(std::string_view text) noexcept;
  // Never throws for what the system refuses. What is not there is empty.
  HistoryContents read();

  static std::string line_of(std::string_view text, std::chrono::system_clock::time_point time);
  static HistoryContents parse(std::string_view bytes);

 private:
  FilePath in_root(std::string path) const { return {root_, std::move(path)}; }
  bool checked_append(std::string_view text);
  std::vector<std::string> folds();
  void add_file(const std::string& path, HistoryContents& contents);
  void set_aside();
  void fold();

  Root root_;
  std::string directory_;
  std::string path_;
  FileSystem& files_;
};

}  // namespace fourge::cache
