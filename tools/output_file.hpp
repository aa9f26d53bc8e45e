// Files that appear whole or not at all.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace fourge::tools {

// Bytes go to a temporary file beside the wanted path, or beside what it links to; commit() renames it. Without commit()
// nothing is left. A file that was there keeps its permissions. Throws Error(invalid_argument) from the constructor if the
// place cannot take a file (no such directory, no permission, something that is not a regular file) and Error(io)
// later.
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void commit();

  const std::string& path() const noexcept { return path_; }

 private:
  [[noreturn]] void fail(const char* what, int error) const;

  std::string path_;
  std::string target_;  // where links lead
  std::string temporary_;
  int descriptor_ = -1;
};

}  // namespace fourge::tools
