// The only door to files for everything in the cache that stores data, so that tests can make each
// step fail. (Lock files are not data; see key_lock.hpp.)
//
// Operations do not throw for what the system refuses: they return errno. EINTR is retried inside,
// and an operation that finds a handle of a network file system stale (ESTALE) begins once more from
// the root. Safe to use from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/trust.hpp"

namespace fourge::cache {

// "No space left on device".
std::string describe_errno(int error);

struct [[nodiscard]] IoStatus {
  int error = 0;          // errno; 0 for success
  std::string refused{};  // if it was our own decision (error is EPERM): cache/trust.hpp's message

  bool ok() const noexcept { return error == 0; }
  std::string reason() const { return refused.empty() ? describe_errno(error) : refused; }
};

template <typename T>
struct [[nodiscard]] IoResult {
  T value{};
  int error = 0;  // errno; 0 for success, and only then is value meaningful
  std::string refused{};

  bool ok() const noexcept { return error == 0; }
  std::string reason() const { return refused.empty() ? describe_errno(error) : refused; }
};

// A directory that holds files of ours only. Its own path may lead through symbolic links, nothing
// below it may.
struct Root {
  std::string path;
  TrustPolicy trust;
  bool may_be_link = true;  // false: the last part of its path may not be one either
};

// Where an operation takes place. Below a root, each directory on the way is opened from the one
// above it without following a link, and judged by the status of what was opened: it must be one
// that the root's policy trusts, the root itself included. What is not gives EPERM and the reason.
class FilePath {
 public:
  // Not below a root: links above the last part are followed, and nobody is judged.
  FilePath(std::string text) : text_(std::move(text)) {}  // NOLINT(google-explicit-constructor)
  FilePath(const char* text) : text_(text) {}             // NOLINT(google-explicit-constructor)
  // The text is the root's path, or begins with that and a '/'. The root must outlive the path.
  FilePath(const Root& root, std::string text) : root_(&root), text_(std::move(text)) {}

  const Root* root() const noexcept { return root_; }
  const std::string& text() const noexcept { return text_; }

 private:
  const Root* root_ = nullptr;
  std::string text_;
};

enum class FileType { regular, directory, symbolic_link, other };

// "a directory", "a symbolic link", ...
const char* to_string(FileType type) noexcept;

struct FileStatus {
  FileType type = FileType::other;
  std::uint64_t size = 0;  // bytes
  std::chrono::system_clock::time_point modified;
  std::uint32_t mode = 0;  // permission bits
  std::uint32_t owner = 0;
  std::uint32_t group = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;

  // Whether the other status is of the same, unchanged file. Survives a rename.
  bool same_file(const FileStatus& other) const noexcept;
};

struct FileContents {
  std::vector<std::byte> bytes;
  FileStatus status;  // of the file that was read, whatever has its name now
};

class FileSystem {
 public:
  FileSystem() = default;
  virtual ~FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;

  // Reads a regular file into memory (no mapping: a file on a network would raise SIGBUS when it
  // goes). A symbolic link as the last part of the path is not followed (ELOOP); what is no regular
  // file is refused without blocking (EISDIR for a directory, else EINVAL or what open says); more
  // than maximum_bytes: EFBIG. Below a root the file itself must be trusted, too.
  virtual IoResult<FileContents> read_file(const FilePath& path, std::size_t maximum_bytes) = 0;
  // Creates the file (EEXIST if there is anything of that name), writes and fsyncs it. After a
  // failure the file is gone again, as far as the system lets it be removed. Mode 0600; 0660 if the
  // root trusts a group, and then the file belongs to it. Less what the umask takes away.
  virtual IoStatus write_new_file(const FilePath& path, std::span<const std::byte> bytes) = 0;
  // Appends by one write, and creates the file as write_new_file() does if it is missing; the value
  // is the file's size afterwards. What is no regular file is refused; below a root the file must be
  // trusted, too. Not synced: for what may be lost in a crash of the machine.
  virtual IoResult<std::uint64_t> append_file(const FilePath& path,
                                              std::span<const std::byte> bytes) = 0;
  virtual IoStatus rename(const FilePath& from, const FilePath& to) = 0;
  // A file, link or empty directory; never more.
  virtual IoStatus remove(const FilePath& path) = 0;
  // The directory and what is missing above it. Existing ones are left as they are. Mode 0700; from
  // a root on that trusts a group 2770, and they belong to it. Less what the umask takes away.
  virtual IoStatus make_directories(const FilePath& path) = 0;
  // Names without "." and ".." that begin with the prefix, sorted. Below a root the directory itself must be trusted, too.
  virtual IoResult<std::vector<std::string>> list_directory(const FilePath& path,
                                                            std::string_view prefix) = 0;
  IoResult<std::vector<std::string>> list_directory(const FilePath& path) {
    return list_directory(path, {});
  }
  // Makes created and renamed names last through a crash of the machine.
  virtual IoStatus sync_directory(const FilePath& path) = 0;
  // Of the thing itself; a link is not followed, and the thing is not judged.
  virtual IoResult<FileStatus> status(const FilePath& path) = 0;
};

FileSystem& posix_file_system();

}  // namespace fourge::cache
