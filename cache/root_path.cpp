// The parts of PosixFileSystem that walk from a root down a path, and make the directories of one.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/posix_calls.hpp"
#include "cache/posix_file_system.hpp"

namespace fourge::cache {

namespace {

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

int flags_of(const Root& root) { return root.may_be_link ? 0 : O_NOFOLLOW; }

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

}  // namespace

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
      open_directory(AT_FDCWD, root->path.c_str(), O_PATH | flags_of(*root), root, root->path);
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
    const int no_follow = next == 0 ? flags_of(root) : O_NOFOLLOW;
    IoResult<FileDescriptor> directory =
        open_directory(parent, name.c_str(), O_PATH | no_follow, &root, walked);
    if (directory.error == ENOENT) {
      const std::string itself = name.substr(0, name.find_last_not_of('/') + 1);
      if (next == 0 && itself.find('/', 1) != std::string::npos) {
        const std::string parents = itself.substr(0, itself.find_last_of('/'));
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

}  // namespace fourge::cache
