#include "tools/read_only_output.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fourge/error.hpp>
#include <string_view>
#include <system_error>

#include "cache/disk_store.hpp"
#include "cache/store_layout.hpp"
#include "cache/temporary_name.hpp"
#include "tools/output_file.hpp"

namespace fourge::tools {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kStagingPrefix = ".prewarm-";
constexpr std::size_t kStagingRandom = 6;  // characters
constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
// Between its making and its lock a new one is nobody's.
constexpr std::time_t kLockedAfter = 60;
constexpr std::time_t kDay = 24 * 60 * 60;

bool is_staging_name(const std::string& name) {
  return name.starts_with(kStagingPrefix) && name.size() == kStagingPrefix.size() + kStagingRandom;
}

// A kill frees the lock. A time in the future is as old as one in the past.
bool is_stale_staging(const std::string& path) {
  const cache::FileDescriptor directory(::open(path.c_str(), kOpenDirectory));
  struct stat status {};
  if (!directory.valid() || ::fstat(directory.get(), &status) != 0 ||
      status.st_uid != ::geteuid()) {
    return false;
  }
  const std::time_t age = std::abs(std::time(nullptr) - status.st_mtime);
  if (age < kLockedAfter) {
    return false;
  }
  if (::flock(directory.get(), LOCK_EX | LOCK_NB) == 0) {
    return true;
  }
  return errno != EWOULDBLOCK && age > kDay;
}

}  // namespace

ReadOnlyOutput::ReadOnlyOutput(std::string directory) : directory_(std::move(directory)) {
  while (directory_.size() > 1 && directory_.ends_with('/')) directory_.pop_back();
  std::error_code error;
  const fs::path parent = fs::path(directory_).parent_path();
  if (!parent.empty()) {
    fs::create_directories(parent, error);
  }
  if (error) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cannot make the directory {}: {}", directory_, error.message()));
  }
  make_public_directory(directory_);
  remove_stale();
  staging_ = directory_ + '/' + std::string(kStagingPrefix) + "XXXXXX";
  if (::mkdtemp(staging_.data()) == nullptr) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cannot write into {}: {}", directory_, std::strerror(errno)));
  }
  lock_ = cache::FileDescriptor(::open(staging_.c_str(), kOpenDirectory));
  if (lock_.valid()) {
    static_cast<void>(::flock(lock_.get(), LOCK_EX | LOCK_NB));  // without locks age decides
  }
}

void ReadOnlyOutput::remove_stale() const {
  std::error_code error;
  for (fs::directory_iterator item(directory_, error), end; !error && item != end;
       item.increment(error)) {
    const std::string name = item->path().filename().string();
    if (is_staging_name(name) && is_stale_staging(item->path().string())) {
      std::error_code ignored;
      fs::remove_all(item->path(), ignored);
    }
  }
  // What a killed collect() was writing.
  for (fs::recursive_directory_iterator item(cache::version_directory(directory_), error), end;
       !error && item != end; item.increment(error)) {
    const std::string path = item->path().string();
    const auto status = cache::posix_file_system().status(path);
    if (status.ok() && status.value.type == cache::FileType::regular &&
        cache::is_abandoned_temporary(item->path().filename().string(), status.value.modified,
                                      std::chrono::system_clock::now())) {
      static_cast<void>(cache::posix_file_system().remove(path));
    }
  }
}

ReadOnlyOutput::~ReadOnlyOutput() {
  std::error_code ignored;
  fs::remove_all(staging_, ignored);
}

void ReadOnlyOutput::make_public_directory(const std::string& path) const {
  if (::mkdir(path.c_str(), 0755) == 0) {
    // The umask may be anything, and what others may write would not be trusted.
    if (::chmod(path.c_str(), 0755) == 0) return;
  } else if (struct stat status{}; errno == EEXIST && ::stat(path.c_str(), &status) == 0) {
    // Somebody's already, with the permissions that they gave it.
    constexpr mode_t kOthersWrite = 0022;
    if (!S_ISDIR(status.st_mode)) {
      throw Error(ErrorKind::invalid_argument, fmt::format("{} is not a directory", path));
    }
    if ((status.st_mode & kOthersWrite) == 0) return;
    throw Error(ErrorKind::invalid_argument,
                fmt::format("others may write {} (mode {:04o}), so that nobody would trust what is "
                            "in it; name a directory that does not exist yet, or take that away: "
                            "chmod go-w '{}'",
                            path, status.st_mode & 07777U, path));
  }
  throw Error(ErrorKind::io, fmt::format("cannot make {} a directory that all may read: {}", path,
                                         std::strerror(errno)));
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
