// The file operations of host execution.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fourge::host {

// A new directory with a name that begins so. Throws Error(io).
std::string make_unique_directory(const std::string& prefix);

// The directory for temporary files.
std::string temporary_root();

// Nothing if the file cannot be read.
std::optional<std::string> read_file(const std::string& path);

// Throws Error(io).
void write_file(const std::string& path, std::string_view text);

// Makes the file durable and then visible under its final name, in the same file system, replacing
// what is there. Throws Error(io).
void publish_file(const std::string& from, const std::string& to);

// A directory that goes away with its contents, unless released.
class ScopedDirectory {
 public:
  explicit ScopedDirectory(std::string path) : path_(std::move(path)) {}
  ~ScopedDirectory();
  ScopedDirectory(const ScopedDirectory&) = delete;
  ScopedDirectory& operator=(const ScopedDirectory&) = delete;

  const std::string& path() const noexcept { return path_; }
  void release() noexcept { path_.clear(); }

 private:
  std::string path_;
};

}  // namespace fourge::host
