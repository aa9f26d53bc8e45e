#include "tools/read_only_output.hpp"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fourge/error.hpp>
#include <system_error>

#include "cache/disk_store.hpp"
#include "tools/output_file.hpp"

namespace fourge::tools {

namespace fs = std::filesystem;

ReadOnlyOutput::ReadOnlyOutput(std::string directory) : directory_(std::move(directory)) {
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cannot make the directory {}: {}", directory_, error.message()));
  }
  make_public_directory(directory_);
  staging_ = directory_ + "/.prewarm-XXXXXX";
  if (::mkdtemp(staging_.data()) == nullptr) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cannot write into {}: {}", directory_, std::strerror(errno)));
  }
}

ReadOnlyOutput::~ReadOnlyOutput() {
  std::error_code ignored;
  fs::remove_all(staging_, ignored);
}

void ReadOnlyOutput::make_public_directory(const std::string& path) const {
  // chmod as well: the umask may be anything, and what others may write would not be trusted.
  if ((::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) || ::chmod(path.c_str(), 0755) != 0) {
    throw Error(ErrorKind::io, fmt::format("cannot make {} a directory that all may read: {}", path,
                                           std::strerror(errno)));
  }
}

std::size_t ReadOnlyOutput::collect() {
  cache::DiskStore filled(staging_);
  std::size_t count = 0;
  for (const cache::EntryInfo& entry : filled.list()) {
    if (!entry.valid) continue;
    const auto file = cache::posix_file_system().read_file(entry.path, cache::kMaximumEntryBytes);
    if (!file.ok()) {
      throw Error(ErrorKind::io, fmt::format("cannot read {}: {}", entry.path, file.reason()));
    }
    const fs::path relative = fs::path(entry.path).lexically_relative(staging_);
    const std::string target = directory_ + '/' + relative.string();
    fs::path parent = directory_;
    for (const fs::path& part : relative.parent_path()) {
      parent /= part;
      make_public_directory(parent.string());
    }
    OutputFile output(target);
    output.write(file.value.bytes);
    output.commit();
    if (::chmod(target.c_str(), 0644) != 0) {
      throw Error(ErrorKind::io,
                  fmt::format("cannot let all read {}: {}", target, std::strerror(errno)));
    }
    ++count;
  }
  return count;
}

}  // namespace fourge::tools
