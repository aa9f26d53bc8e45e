#include "cache/posix_file_system.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string_view>
#include <system_error>

#include "cache/file_descriptor.hpp"

namespace fourge::cache {

namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;

template <typename Call>
auto retry_interrupted(const Call& call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

FileStatus status_of(const struct stat& data) {
  FileStatus status;
  if (S_ISREG(data.st_mode)) {
    status.type = FileType::regular;
  } else if (S_ISDIR(data.st_mode)) {
    status.type = FileType::directory;
  } else if (S_ISLNK(data.st_mode)) {
    status.type = FileType::symbolic_link;
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

IoStatus make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), kDirectoryMode) == 0) return {};
  const int error = errno;
  struct stat data {};
  // Some systems answer EROFS or EACCES for a directory that is there.
  if (::stat(path.c_str(), &data) != 0) return {error};
  return {S_ISDIR(data.st_mode) ? 0 : ENOTDIR};
}

}  // namespace

const char* to_string(FileType type) noexcept {
  switch (type) {
    case FileType::regular:
      return "a regular file";
    case FileType::directory:
      return "a directory";
    case FileType::symbolic_link:
      return "a symbolic link";
    case FileType::other:
      break;
  }
  return "a special file";
}

bool FileStatus::same_file(const FileStatus& other) const noexcept {
  return type == other.type && size == other.size && modified == other.modified &&
         device == other.device && inode == other.inode;
}

std::string describe_errno(int error) { return std::generic_category().message(error); }

FileSystem& posix_file_system() {
  static PosixFileSystem file_system;  // has no state
  return file_system;
}

IoResult<FileContents> PosixFileSystem::read_file(const std::string& path,
                                                  std::size_t maximum_bytes) {
  // O_NONBLOCK: opening a FIFO without a writer must not wait for one.
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  const FileDescriptor file(retry_interrupted([&] { return sys_open(path.c_str(), kFlags, 0); }));
  if (!file.valid()) return {{}, errno};
  struct stat data {};
  if (::fstat(file.get(), &data) != 0) return {{}, errno};
  IoResult<FileContents> result;
  result.value.status = status_of(data);
  if (result.value.status.type == FileType::directory) return {{}, EISDIR};
  if (result.value.status.type != FileType::regular) return {{}, EINVAL};
  if (result.value.status.size > maximum_bytes) return {{}, EFBIG};

  // One byte more than it should have, to notice a file that grows.
  std::vector<std::byte>& bytes = result.value.bytes;
  bytes.resize(static_cast<std::size_t>(result.value.status.size) + 1);
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t count = retry_interrupted(
        [&] { return sys_read(file.get(), bytes.data() + filled, bytes.size() - filled); });
    if (count < 0) return {{}, errno};
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  bytes.resize(filled);
  return result;
}

IoStatus PosixFileSystem::write_new_file(const std::string& path,
                                         std::span<const std::byte> bytes) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  FileDescriptor file(retry_interrupted([&] { return sys_open(path.c_str(), kFlags, kFileMode); }));
  if (!file.valid()) return {errno};
  const auto write_all = [&]() -> int {
    while (!bytes.empty()) {
      const ssize_t count =
          retry_interrupted([&] { return sys_write(file.get(), bytes.data(), bytes.size()); });
      if (count < 0) return errno;
      if (count == 0) return ENOSPC;  // no progress and no reason: do not spin
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    if (retry_interrupted([&] { return sys_fsync(file.get()); }) != 0) return errno;
    // Network file systems report a full disk or quota here.
    return file.close() == 0 || errno == EINTR ? 0 : errno;
  };
  const int error = write_all();
  if (error != 0) ::unlink(path.c_str());
  return {error};
}

IoStatus PosixFileSystem::rename(const std::string& from, const std::string& to) {
  const int result = retry_interrupted([&] { return sys_rename(from.c_str(), to.c_str()); });
  return {result == 0 ? 0 : errno};
}

IoStatus PosixFileSystem::remove(const std::string& path) {
  const int result = retry_interrupted([&] { return std::remove(path.c_str()); });
  return {result == 0 ? 0 : errno};
}

IoStatus PosixFileSystem::make_directories(const std::string& path) {
  const IoStatus direct = make_directory(path);
  if (direct.error != ENOENT) return direct;
  for (std::size_t end = path.find('/', 1); end != std::string::npos;
       end = path.find('/', end + 1)) {
    const IoStatus made = make_directory(path.substr(0, end));
    if (!made.ok()) return made;
  }
  return make_directory(path);
}

IoResult<std::vector<std::string>> PosixFileSystem::list_directory(const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
  FileDescriptor directory(retry_interrupted([&] { return sys_open(path.c_str(), kFlags, 0); }));
  if (!directory.valid()) return {{}, errno};
  struct Close {
    void operator()(DIR* stream) const noexcept { ::closedir(stream); }
  };
  const std::unique_ptr<DIR, Close> stream(::fdopendir(directory.get()));
  if (!stream) return {{}, errno};
  directory.release();  // the stream owns it now
  IoResult<std::vector<std::string>> result;
  for (;;) {
    errno = 0;
    const dirent* const item = ::readdir(stream.get());
    if (item == nullptr) break;
    const std::string_view name = item->d_name;
    if (name != "." && name != "..") result.value.emplace_back(name);
  }
  if (errno != 0) return {{}, errno};
  std::sort(result.value.begin(), result.value.end());
  return result;
}

IoStatus PosixFileSystem::sync_directory(const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  const FileDescriptor directory(
      retry_interrupted([&] { return sys_open(path.c_str(), kFlags, 0); }));
  if (!directory.valid()) return {errno};
  if (retry_interrupted([&] { return sys_fsync(directory.get()); }) == 0) return {};
  // Some file systems know no fsync of directories; there is nothing more to be done on those.
  return {errno == EINVAL || errno == ENOTSUP ? 0 : errno};
}

IoResult<FileStatus> PosixFileSystem::status(const std::string& path) {
  struct stat data {};
  if (::lstat(path.c_str(), &data) != 0) return {{}, errno};
  return {status_of(data), 0};
}

int PosixFileSystem::sys_open(const char* path, int flags, mode_t mode) {
  return ::open(path, flags, mode);
}

ssize_t PosixFileSystem::sys_read(int descriptor, void* buffer, std::size_t count) {
  return ::read(descriptor, buffer, count);
}

ssize_t PosixFileSystem::sys_write(int descriptor, const void* buffer, std::size_t count) {
  return ::write(descriptor, buffer, count);
}

int PosixFileSystem::sys_fsync(int descriptor) { return ::fsync(descriptor); }

int PosixFileSystem::sys_rename(const char* from, const char* to) { return ::rename(from, to); }

}  // namespace fourge::cache
