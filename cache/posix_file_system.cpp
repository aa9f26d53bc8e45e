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

namespace fourge::cache {

namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kSharedFileMode = 0660;
constexpr mode_t kSharedDirectoryMode = 0770;

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

IoStatus make_directory(int directory, const char* name, mode_t mode) {
  if (::mkdirat(directory, name, mode) == 0) return {};
  const int error = errno;
  struct stat data {};
  // Some systems answer EROFS or EACCES for a directory that is there.
  if (::fstatat(directory, name, &data, 0) != 0) return {error};
  return {S_ISDIR(data.st_mode) ? 0 : ENOTDIR};
}

IoStatus make_directory_path(const std::string& path) {
  const IoStatus direct = make_directory(AT_FDCWD, path.c_str(), kDirectoryMode);
  if (direct.error != ENOENT) return direct;
  for (std::size_t end = path.find('/', 1); end != std::string::npos;
       end = path.find('/', end + 1)) {
    IoStatus made = make_directory(AT_FDCWD, path.substr(0, end).c_str(), kDirectoryMode);
    if (!made.ok()) return made;
  }
  return make_directory(AT_FDCWD, path.c_str(), kDirectoryMode);
}

// The parts below the root; false if there is one that would lead out of it.
bool split_below(const Root& root, const std::string& text, std::vector<std::string>& parts) {
  if (!text.starts_with(root.path)) return false;
  std::string_view rest = std::string_view(text).substr(root.path.size());
  while (!rest.empty()) {
    if (rest.front() != '/') return false;
    rest.remove_prefix(1);
    const std::string_view part = rest.substr(0, rest.find('/'));
    if (part.empty() || part == "." || part == "..") return false;
    parts.emplace_back(part);
    rest.remove_prefix(part.size());
  }
  return true;
}

template <typename Operation>
auto again_if_stale(const Operation& operation) {
  auto result = operation();
  if (result.error == ESTALE) result = operation();
  return result;
}

// Gives a new file or directory to the group that shares the root. If that is not allowed, it is
// nobody's but ours: the mode that it was made with was meant for that group.
void give_to_group(int descriptor, const Root* root, mode_t extra) {
  if (root == nullptr || !root->trust.group) return;
  struct stat data {};
  if (::fstat(descriptor, &data) != 0) return;
  const mode_t mode = data.st_mode & 07777U;
  const bool ours = data.st_gid == *root->trust.group ||
                    ::fchown(descriptor, static_cast<uid_t>(-1), *root->trust.group) == 0;
  const mode_t wanted = ours ? (mode | extra) : (mode & kDirectoryMode);
  if (wanted != mode) static_cast<void>(::fchmod(descriptor, wanted));
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

int PosixFileSystem::Place::at() const noexcept {
  return directory.valid() ? directory.get() : AT_FDCWD;
}

IoResult<FileDescriptor> PosixFileSystem::open_at(int directory, const char* name, int flags,
                                                  mode_t mode) {
  FileDescriptor file(retry_interrupted(
      [&] { return sys_openat(directory, name, flags | O_CLOEXEC | O_NOCTTY, mode); }));
  if (!file.valid()) return {{}, errno};
  return {std::move(file), 0};
}

IoResult<FileDescriptor> PosixFileSystem::open_directory(int directory, const char* name, int flags,
                                                         const Root* root,
                                                         const std::string& path) {
  IoResult<FileDescriptor> opened = open_at(directory, name, flags | O_DIRECTORY);
  if (!opened.ok() || root == nullptr) return opened;
  struct stat data {};
  if (::fstat(opened.value.get(), &data) != 0) return {{}, errno};
  std::string refused = distrust(root->trust, status_of(data), path);
  if (!refused.empty()) return {{}, EPERM, std::move(refused)};
  return opened;
}

IoResult<PosixFileSystem::Place> PosixFileSystem::walk(const FilePath& path) {
  const Root* const root = path.root();
  IoResult<Place> result;
  if (root == nullptr) {
    result.value.name = path.text();
    return result;
  }
  std::vector<std::string> parts;
  if (!split_below(*root, path.text(), parts)) return {{}, EINVAL};
  // O_PATH: passing through needs no permission to read.
  IoResult<FileDescriptor> directory =
      open_directory(AT_FDCWD, root->path.c_str(), O_PATH, root, root->path);
  std::string walked = root->path;
  for (std::size_t i = 0; directory.ok() && i + 1 < parts.size(); ++i) {
    walked += '/' + parts[i];
    directory =
        open_directory(directory.value.get(), parts[i].c_str(), O_PATH | O_NOFOLLOW, root, walked);
  }
  if (!directory.ok()) return {{}, directory.error, std::move(directory.refused)};
  result.value.directory = std::move(directory.value);
  result.value.name = parts.empty() ? "." : std::move(parts.back());
  return result;
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

IoStatus PosixFileSystem::make_directories(const FilePath& path) {
  if (path.root() == nullptr) return make_directory_path(path.text());
  return again_if_stale([&] { return make_in_root(*path.root(), path.text()); });
}

IoStatus PosixFileSystem::make_in_root(const Root& root, const std::string& text) {
  std::vector<std::string> parts;
  if (!split_below(root, text, parts)) return {EINVAL};
  const mode_t mode = root.trust.group ? kSharedDirectoryMode : kDirectoryMode;
  // From the root downwards; only what this call has made is given to the group.
  int parent = AT_FDCWD;
  FileDescriptor above;
  std::string name = root.path;
  std::string walked = root.path;
  for (std::size_t next = 0;; ++next) {
    const int no_follow = next == 0 ? 0 : O_NOFOLLOW;
    IoResult<FileDescriptor> directory =
        open_directory(parent, name.c_str(), O_PATH | no_follow, &root, walked);
    if (directory.error == ENOENT) {
      if (next == 0 && name.find('/', 1) != std::string::npos) {
        const std::string parents = name.substr(0, name.find_last_of('/'));
        IoStatus made = parents.empty() ? IoStatus{} : make_directory_path(parents);
        if (!made.ok()) return made;
      }
      const bool created = ::mkdirat(parent, name.c_str(), mode) == 0;
      if (!created && errno != EEXIST) return {errno};
      if (created && root.trust.group) {
        const IoResult<FileDescriptor> made =
            open_at(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (made.ok()) give_to_group(made.value.get(), &root, S_ISGID);
      }
      directory = open_directory(parent, name.c_str(), O_PATH | no_follow, &root, walked);
    }
    if (!directory.ok()) return {directory.error, std::move(directory.refused)};
    if (next == parts.size()) return {};
    above = std::move(directory.value);
    parent = above.get();
    name = parts[next];
    walked += '/' + name;
  }
}

// A directory to be read or synced, itself judged.
IoResult<FileDescriptor> PosixFileSystem::open_listed(const FilePath& path) {
  IoResult<Place> place = walk(path);
  if (!place.ok()) return {{}, place.error, std::move(place.refused)};
  return open_directory(place.value.at(), place.value.name.c_str(), O_RDONLY | O_NOFOLLOW,
                        path.root(), path.text());
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
