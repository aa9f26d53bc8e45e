#include "cache/posix_file_system.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cache/posix_calls.hpp"

namespace fourge::cache {

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

IoResult<FileContents> PosixFileSystem::read_file(const FilePath& path, std::size_t maximum_bytes) {
  return again_if_stale([&] { return try_read(path, maximum_bytes); });
}

IoResult<FileContents> PosixFileSystem::try_read(const FilePath& path, std::size_t maximum_bytes) {
  IoResult<Place> place = walk(path);
  if (!place.ok()) return {{}, place.error, std::move(place.refused)};
  // O_NONBLOCK: opening a FIFO without a writer must not wait for one.
  const IoResult<FileDescriptor> file =
      open_at(place.value.at(), place.value.name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file.ok()) return {{}, file.error};
  struct stat data {};
  if (::fstat(file.value.get(), &data) != 0) return {{}, errno};
  IoResult<FileContents> result;
  result.value.status = status_of(data);
  if (result.value.status.type == FileType::directory) return {{}, EISDIR};
  if (result.value.status.type != FileType::regular) return {{}, EINVAL};
  if (path.root() != nullptr) {
    std::string refused = distrust(path.root()->trust, result.value.status, path.text());
    if (!refused.empty()) return {{}, EPERM, std::move(refused)};
  }
  if (result.value.status.size > maximum_bytes) return {{}, EFBIG};

  // One byte more than it should have, to notice a file that grows.
  std::vector<std::byte>& bytes = result.value.bytes;
  bytes.resize(static_cast<std::size_t>(result.value.status.size) + 1);
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t count = retry_interrupted(
        [&] { return sys_read(file.value.get(), bytes.data() + filled, bytes.size() - filled); });
    if (count < 0) return {{}, errno};
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  bytes.resize(filled);
  return result;
}

IoStatus PosixFileSystem::write_new_file(const FilePath& path, std::span<const std::byte> bytes) {
  return again_if_stale([&] { return try_write_new(path, bytes); });
}

IoStatus PosixFileSystem::try_write_new(const FilePath& path, std::span<const std::byte> bytes) {
  IoResult<Place> place = walk(path);
  if (!place.ok()) return {place.error, std::move(place.refused)};
  const char* const name = place.value.name.c_str();
  const bool shared = path.root() != nullptr && path.root()->trust.group;
  IoResult<FileDescriptor> file =
      open_at(place.value.at(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
              shared ? kSharedFileMode : kFileMode);
  if (!file.ok()) return {file.error};
  give_to_group(file.value.get(), path.root(), 0);
  IoStatus written = write_and_close(file.value, bytes);
  if (!written.ok()) ::unlinkat(place.value.at(), name, 0);
  return written;
}

IoStatus PosixFileSystem::write_and_close(FileDescriptor& file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count =
        retry_interrupted([&] { return sys_write(file.get(), bytes.data(), bytes.size()); });
    if (count < 0) return {errno};
    if (count == 0) return {ENOSPC};  // no progress and no reason: do not spin
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  if (retry_interrupted([&] { return sys_fsync(file.get()); }) != 0) return {errno};
  // Network file systems report a full disk or quota here.
  return {file.close() == 0 || errno == EINTR ? 0 : errno};
}

IoResult<std::uint64_t> PosixFileSystem::append_file(const FilePath& path,
                                                     std::span<const std::byte> bytes) {
  return again_if_stale([&] { return try_append(path, bytes); });
}

IoResult<std::uint64_t> PosixFileSystem::try_append(const FilePath& path,
                                                    std::span<const std::byte> bytes) {
  IoResult<Place> place = walk(path);
  if (!place.ok()) return {0, place.error, std::move(place.refused)};
  const bool shared = path.root() != nullptr && path.root()->trust.group;
  const IoResult<FileDescriptor> file =
      open_at(place.value.at(), place.value.name.c_str(),
              O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK,
              shared ? kSharedFileMode : kFileMode);
  if (!file.ok()) return {0, file.error};
  const int descriptor = file.value.get();
  struct stat data {};
  if (::fstat(descriptor, &data) != 0) return {0, errno};
  if (!S_ISREG(data.st_mode)) return {0, EINVAL};
  if (data.st_size == 0) {
    give_to_group(descriptor, path.root(), 0);
    if (::fstat(descriptor, &data) != 0) return {0, errno};
  }
  if (path.root() != nullptr) {
    std::string refused = distrust(path.root()->trust, status_of(data), path.text());
    if (!refused.empty()) return {0, EPERM, std::move(refused)};
  }
  const ssize_t count =
      retry_interrupted([&] { return sys_write(descriptor, bytes.data(), bytes.size()); });
  if (count < 0) return {0, errno};
  // The rest in a second write could be torn apart from the first by another process.
  if (static_cast<std::size_t>(count) != bytes.size()) return {0, ENOSPC};
  if (::fstat(descriptor, &data) != 0) return {0, errno};
  return {static_cast<std::uint64_t>(data.st_size), 0};
}

IoStatus PosixFileSystem::rename(const FilePath& from, const FilePath& to) {
  return again_if_stale([&] { return try_rename(from, to); });
}

IoStatus PosixFileSystem::try_rename(const FilePath& from, const FilePath& to) {
  IoResult<Place> source = walk(from);
  if (!source.ok()) return {source.error, std::move(source.refused)};
  IoResult<Place> target = walk(to);
  if (!target.ok()) return {target.error, std::move(target.refused)};
  const int result = retry_interrupted([&] {
    return sys_renameat(source.value.at(), source.value.name.c_str(), target.value.at(),
                        target.value.name.c_str());
  });
  return {result == 0 ? 0 : errno};
}

IoStatus PosixFileSystem::remove(const FilePath& path) {
  IoResult<Place> place = walk(path);
  if (!place.ok()) return {place.error, std::move(place.refused)};
  const char* const name = place.value.name.c_str();
  if (retry_interrupted([&] { return ::unlinkat(place.value.at(), name, 0); }) == 0) return {};
  const int error = errno;
  if (error != EISDIR && error != EPERM) return {error};
  const int removed =
      retry_interrupted([&] { return ::unlinkat(place.value.at(), name, AT_REMOVEDIR); });
  if (removed == 0) return {};
  return {errno == ENOTDIR ? error : errno};
}

IoResult<std::vector<std::string>> PosixFileSystem::list_directory(const FilePath& path,
                                                                   std::string_view prefix) {
  IoResult<FileDescriptor> directory = again_if_stale([&] { return open_listed(path); });
  if (!directory.ok()) return {{}, directory.error, std::move(directory.refused)};
  struct Close {
    void operator()(DIR* stream) const noexcept { ::closedir(stream); }
  };
  const std::unique_ptr<DIR, Close> stream(::fdopendir(directory.value.get()));
  if (!stream) return {{}, errno};
  directory.value.release();  // the stream owns it now
  IoResult<std::vector<std::string>> result;
  for (;;) {
    errno = 0;
    const dirent* const item = ::readdir(stream.get());
    if (item == nullptr) break;
    const std::string_view name = item->d_name;
    if (name.starts_with(prefix) && name != "." && name != "..") result.value.emplace_back(name);
  }
  if (errno != 0) return {{}, errno};
  std::sort(result.value.begin(), result.value.end());
  return result;
}

IoStatus PosixFileSystem::sync_directory(const FilePath& path) {
  IoResult<FileDescriptor> directory = again_if_stale([&] { return open_listed(path); });
  if (!directory.ok()) return {directory.error, std::move(directory.refused)};
  if (retry_interrupted([&] { return sys_fsync(directory.value.get()); }) == 0) return {};
  // Some file systems know no fsync of directories; there is nothing more to be done on those.
  return {errno == EINVAL || errno == ENOTSUP ? 0 : errno};
}

IoResult<FileStatus> PosixFileSystem::status(const FilePath& path) {
  return again_if_stale([&]() -> IoResult<FileStatus> {
    IoResult<Place> place = walk(path);
    if (!place.ok()) return {{}, place.error, std::move(place.refused)};
    struct stat data {};
    if (::fstatat(place.value.at(), place.value.name.c_str(), &data, AT_SYMLINK_NOFOLLOW) != 0) {
      return {{}, errno};
    }
    return {status_of(data), 0};
  });
}

int PosixFileSystem::sys_openat(int directory, const char* path, int flags, mode_t mode) {
  return ::openat(directory, path, flags, mode);
}

ssize_t PosixFileSystem::sys_read(int descriptor, void* buffer, std::size_t count) {
  return ::read(descriptor, buffer, count);
}

ssize_t PosixFileSystem::sys_write(int descriptor, const void* buffer, std::size_t count) {
  return ::write(descriptor, buffer, count);
}

int PosixFileSystem::sys_fsync(int descriptor) { return ::fsync(descriptor); }

int PosixFileSystem::sys_renameat(int from_directory, const char* from, int to_directory,
                                  const char* to) {
  return ::renameat(from_directory, from, to_directory, to);
}

}  // namespace fourge::cache
