// Files as POSIX gives them. The system calls that can be interrupted or do half of their work are
// virtual, so that tests can make them do so.
#pragma once

#include <sys/types.h>

#include "cache/file_descriptor.hpp"
#include "cache/file_system.hpp"

namespace fourge::cache {

class PosixFileSystem : public FileSystem {
 public:
  IoResult<FileContents> read_file(const FilePath& path, std::size_t maximum_bytes) override;
  IoStatus write_new_file(const FilePath& path, std::span<const std::byte> bytes) override;
  IoResult<std::uint64_t> append_file(const FilePath& path,
                                      std::span<const std::byte> bytes) override;
  IoStatus rename(const FilePath& from, const FilePath& to) override;
  IoStatus remove(const FilePath& path) override;
  IoStatus make_directories(const FilePath& path) override;
  IoResult<std::vector<std::string>> list_directory(const FilePath& path,
                                                    std::string_view prefix) override;
  using FileSystem::list_directory;
  IoStatus sync_directory(const FilePath& path) override;
  IoResult<FileStatus> status(const FilePath& path) override;

 protected:
  // As the system calls of the same name: -1 and errno on failure.
  virtual int sys_openat(int directory, const char* path, int flags, mode_t mode);
  virtual ssize_t sys_read(int descriptor, void* buffer, std::size_t count);
  virtual ssize_t sys_write(int descriptor, const void* buffer, std::size_t count);
  virtual int sys_fsync(int descriptor);
  virtual int sys_renameat(int from_directory, const char* from, int to_directory, const char* to);

 private:
  // An opened directory and a name in it: all that is left of a path once it has been walked.
  struct Place {
    FileDescriptor directory;  // none: the name is a path of its own
    std::string name;

    int at() const noexcept;
  };

  IoResult<FileDescriptor> open_at(int directory, const char* name, int flags, mode_t mode = 0);
  IoResult<FileDescriptor> open_directory(int directory, const char* name, int flags,
                                          const Root* root, const std::string& path);
  IoResult<Place> walk(const FilePath& path);
  IoStatus write_and_close(FileDescriptor& file, std::span<const std::byte> bytes);
  IoStatus make_in_root(const Root& root, const std::string& text);
  IoResult<std::uint64_t> try_append(const FilePath& path, std::span<const std::byte> bytes);
  IoStatus try_rename(const FilePath& from, const FilePath& to);
  IoResult<FileContents> try_read(const FilePath& path, std::size_t maximum_bytes);
  IoStatus try_write_new(const FilePath& path, std::span<const std::byte> bytes);
  IoResult<FileDescriptor> open_listed(const FilePath& path);
};

}  // namespace fourge::cache
