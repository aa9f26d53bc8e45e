#include "cache/random_access_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

#include "cache/file_descriptor.hpp"

namespace fourge::cache {

namespace {

FileStatus status_of(const struct stat& data) {
  FileStatus status;
  if (S_ISREG(data.st_mode)) {
    status.type = FileType::regular;
  } else if (S_ISDIR(data.st_mode)) {
    status.type = FileType::directory;
  }
  status.size = static_cast<std::uint64_t>(data.st_size);
  status.modified = std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::seconds(data.st_mtim.tv_sec) +
          std::chrono::nanoseconds(data.st_mtim.tv_nsec)));
  status.mode = static_cast<std::uint32_t>(data.st_mode & 07777U);
  status.owner = data.st_uid;
  status.group = data.st_gid;
  status.device = static_cast<std::uint64_t>(data.st_dev);
  status.inode = static_cast<std::uint64_t>(data.st_ino);
  return status;
}

class PosixRandomAccessFile : public RandomAccessFile {
 public:
  explicit PosixRandomAccessFile(FileDescriptor file) : file_(std::move(file)) {}

  IoResult<FileStatus> status() override {
    struct stat data {};
    if (::fstat(file_.get(), &data) != 0) return {{}, errno};
    return {status_of(data), 0};
  }

  IoResult<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> buffer) override {
    constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
    if (offset > kLargest || buffer.size() > kLargest - offset) return {0, EOVERFLOW};
    std::size_t filled = 0;
    while (filled < buffer.size()) {
      const ssize_t count = ::pread(file_.get(), buffer.data() + filled, buffer.size() - filled,
                                    static_cast<off_t>(offset + filled));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return {0, errno};
      if (count == 0) break;
      filled += static_cast<std::size_t>(count);
    }
    return {filled, 0};
  }

 private:
  FileDescriptor file_;
};

}  // namespace

OpenedFile open_random_access(const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), kFlags);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) return {nullptr, errno};
  return {std::make_unique<PosixRandomAccessFile>(FileDescriptor(descriptor)), 0};
}

}  // namespace fourge::cache
