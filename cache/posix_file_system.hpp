// Files as POSIX gives them. The system calls that can be interrupted or do half of their work are
// virtual, so that tests can make them do so.
#pragma once

#include <sys/types.h>

#include "cache/file_system.hpp"

namespace fourge::cache {

class PosixFileSystem : public FileSystem {
 public:
  IoResult<FileContents> read_file(const std::string& path, std::size_t maximum_bytes) override;
  IoStatus write_new_file(const std::string& path, std::span<const std::byte> bytes) override;
  IoStatus rename(const std::string& from, const std::string& to) override;
  IoStatus remove(const std::string& path) override;
  IoStatus make_directories(const std::string& path) override;
  IoResult<std::vector<std::string>> list_directory(const std::string& path) override;
  IoStatus sync_directory(const std::string& path) override;
  IoResult<FileStatus> status(const std::string& path) override;

 protected:
  // As the system calls of the same name: -1 and errno on failure.
  virtual int sys_open(const char* path, int flags, mode_t mode);
  virtual ssize_t sys_read(int descriptor, void* buffer, std::size_t count);
  virtual ssize_t sys_write(int descriptor, const void* buffer, std::size_t count);
  virtual int sys_fsync(int descriptor);
  virtual int sys_rename(const char* from, const char* to);
};

}  // namespace fourge::cache
