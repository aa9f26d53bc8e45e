#include "tools/output_file.hpp"

#include <fourge/error.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace fourge::tools {
namespace {

// Where the file itself is: renaming onto a link would replace the link. A link to a descriptor (/dev/stdout) has no place
// that a file could be renamed to.
std::string place_of(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path place = path;
  constexpr int kLinks = 40;  // as many as Linux follows
  for (int i = 0; i < kLinks && fs::is_symlink(fs::symlink_status(place, error)); ++i) {
    const fs::path directory =
        fs::canonical(place.has_parent_path() ? place.parent_path() : ".", error);
    const fs::path target = fs::read_symlink(place, error);
    if (error || directory == "/dev" || directory.native().starts_with("/proc/") ||
        target.native().starts_with("/proc/")) {
      throw Error(
          ErrorKind::invalid_argument,
          fmt::format(
              "cannot write {}: it stands for a descriptor or a device; give the name of a file",
              path));
    }
    place = directory / target;
  }
  if (fs::is_symlink(fs::symlink_status(place, error))) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cannot write {}: {}", path, std::strerror(ELOOP)));
  }
  return place.string();
}

}  // namespace

OutputFile::OutputFile(std::string path) : path_(std::move(path)) {
  std::string place = place_of(path_);
  struct stat status {};
  const bool exists = ::stat(place.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cannot write {}: it exists and is not a regular file", path_));
  }
  // Renaming would not ask.
  if (exists && ::access(place.c_str(), W_OK) != 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cannot write {}: {}", path_, std::strerror(errno)));
  }
  target_ = std::move(place);
  constexpr int kAttempts = 100;  // others may use the same names
  for (int attempt = 0; attempt < kAttempts && descriptor_ < 0; ++attempt) {
    temporary_ = fmt::format("{}.{}.{}.tmp", target_, ::getpid(), attempt);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST) {
      break;
    }
  }
  if (descriptor_ < 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cannot write {}: {}", path_, std::strerror(errno)));
  }
  // A file system without modes keeps what it has.
  if (exists) {
    [[maybe_unused]] const int ignored = ::fchmod(descriptor_, status.st_mode & 0777U);
  }
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
  }
}

void OutputFile::fail(const char* what, int error) const {
  throw Error(ErrorKind::io, fmt::format("{} {}: {}", what, path_, std::strerror(error)));
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      fail("cannot write", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void OutputFile::commit() {
  if (::fsync(descriptor_) != 0 && errno != EINVAL) {
    fail("cannot write", errno);
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    fail("cannot put in place", errno);
  }
  ::close(std::exchange(descriptor_, -1));
}

}  // namespace fourge::tools
