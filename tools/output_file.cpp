#include "tools/output_file.hpp"

#include <fourge/error.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace fourge::tools {

OutputFile::OutputFile(std::string path) : path_(std::move(path)) {
  struct stat status {};
  if (::stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cannot write {}: it exists and is not a regular file", path_));
  }
  constexpr int kAttempts = 100;  // others may use the same names
  for (int attempt = 0; attempt < kAttempts && descriptor_ < 0; ++attempt) {
    temporary_ = fmt::format("{}.{}.{}.tmp", path_, ::getpid(), attempt);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST) {
      break;
    }
  }
  if (descriptor_ < 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cannot write {}: {}", path_, std::strerror(errno)));
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
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail("cannot put in place", errno);
  }
  ::close(std::exchange(descriptor_, -1));
}

}  // namespace fourge::tools
