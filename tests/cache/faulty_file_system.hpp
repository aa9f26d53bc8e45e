// A file system whose operations fail when a test says so. Before each operation the hook is asked;
// an errno other than 0 is returned instead of doing it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "cache/posix_file_system.hpp"

namespace fourge::tests {

enum class Operation { read, write, rename, remove, make_directories, list, sync, status };

class FaultyFileSystem : public cache::PosixFileSystem {
 public:
  using Hook = std::function<int(Operation operation, const std::string& path)>;

  explicit FaultyFileSystem(Hook asked) : hook(std::move(asked)) {}

  Hook hook;

  cache::IoResult<cache::FileContents> read_file(const cache::FilePath& path,
                                                 std::size_t maximum_bytes) override {
    if (const int error = hook(Operation::read, path.text()); error != 0) return {{}, error};
    return PosixFileSystem::read_file(path, maximum_bytes);
  }
  cache::IoStatus write_new_file(const cache::FilePath& path,
                                 std::span<const std::byte> bytes) override {
    if (const int error = hook(Operation::write, path.text()); error != 0) return {error};
    return PosixFileSystem::write_new_file(path, bytes);
  }
  cache::IoStatus rename(const cache::FilePath& from, const cache::FilePath& to) override {
    if (const int error = hook(Operation::rename, to.text()); error != 0) return {error};
    return PosixFileSystem::rename(from, to);
  }
  cache::IoStatus remove(const cache::FilePath& path) override {
    if (const int error = hook(Operation::remove, path.text()); error != 0) return {error};
    return PosixFileSystem::remove(path);
  }
  cache::IoStatus make_directories(const cache::FilePath& path) override {
    if (const int error = hook(Operation::make_directories, path.text()); error != 0)
      return {error};
    return PosixFileSystem::make_directories(path);
  }
  cache::IoResult<std::vector<std::string>> list_directory(const cache::FilePath& path,
                                                           std::string_view prefix) override {
    if (const int error = hook(Operation::list, path.text()); error != 0) return {{}, error};
    return PosixFileSystem::list_directory(path, prefix);
  }
  using PosixFileSystem::list_directory;
  cache::IoStatus sync_directory(const cache::FilePath& path) override {
    if (const int error = hook(Operation::sync, path.text()); error != 0) return {error};
    return PosixFileSystem::sync_directory(path);
  }
  cache::IoResult<cache::FileStatus> status(const cache::FilePath& path) override {
    if (const int error = hook(Operation::status, path.text()); error != 0) return {{}, error};
    return PosixFileSystem::status(path);
  }
};

}  // namespace fourge::tests
