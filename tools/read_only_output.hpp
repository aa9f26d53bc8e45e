// A cache directory made to be read by others: in an image, on a shared mount. Only entries lie in
// it, with mode 0644, in directories with mode 0755; the same entries give the same tree.
#pragma once

#include <cstddef>
#include <string>

#include "cache/file_descriptor.hpp"

namespace fourge::tools {

class ReadOnlyOutput {
 public:
  // Makes the directory, if need be, and an empty cache directory to be filled inside it, which the
  // destructor removes. Removes those of killed processes: ours, a minute old, and locked by nobody (a
  // day old where there are no locks). Throws Error(invalid_argument) if the place cannot take them.
  explicit ReadOnlyOutput(std::string directory);
  ~ReadOnlyOutput();
  ReadOnlyOutput(const ReadOnlyOutput&) = delete;
  ReadOnlyOutput& operator=(const ReadOnlyOutput&) = delete;

  const std::string& directory() const noexcept { return directory_; }
  const std::string& staging() const noexcept { return staging_; }

  // Takes over every good entry from staging(); each appears whole or not at all. Returns how many
  // there are. Throws Error(io).
  std::size_t collect();

 private:
  void make_public_directory(const std::string& path) const;
  void remove_stale() const;

  std::string directory_;
  std::string staging_;
  cache::FileDescriptor lock_;  // of staging_, for as long as this lives
};

}  // namespace fourge::tools
