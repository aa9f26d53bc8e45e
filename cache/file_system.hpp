// The only door to files for everything in the cache that stores data, so that tests can make each
// step fail. (Lock files are not data; see key_lock.hpp.)
//
// Operations do not throw for what the system refuses: they return errno. EINTR is retried inside.
// Safe to use from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace fourge::cache {

struct [[nodiscard]] IoStatus {
  int error = 0;  // errno; 0 for success

  bool ok() const noexcept { return error == 0; }
};

template <typename T>
struct [[nodiscard]] IoResult {
  T value{};
  int error = 0;  // errno; 0 for success, and only then is value meaningful

  bool ok() const noexcept { return error == 0; }
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
  // than maximum_bytes: EFBIG.
  virtual IoResult<FileContents> read_file(const std::string& path, std::size_t maximum_bytes) = 0;
  // Creates the file (mode 0600; EEXIST if there is anything of that name), writes and fsyncs it.
  // After a failure the file is gone again, as far as the system lets it be removed.
  virtual IoStatus write_new_file(const std::string& path, std::span<const std::byte> bytes) = 0;
  virtual IoStatus rename(const std::string& from, const std::string& to) = 0;
  // A file, link or empty directory; never more.
  virtual IoStatus remove(const std::string& path) = 0;
  // The directory and what is missing above it, with mode 0700. Existing ones are left as they are.
  virtual IoStatus make_directories(const std::string& path) = 0;
  // Names without "." and "..", sorted.
  virtual IoResult<std::vector<std::string>> list_directory(const std::string& path) = 0;
  // Makes created and renamed names last through a crash of the machine.
  virtual IoStatus sync_directory(const std::string& path) = 0;
  // Of the thing itself; a link is not followed.
  virtual IoResult<FileStatus> status(const std::string& path) = 0;
};

FileSystem& posix_file_system();

// "No space left on device".
std::string describe_errno(int error);

}  // namespace fourge::cache
