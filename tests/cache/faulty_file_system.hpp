// A file system whose operations fail when a test says so. Before each operation the hook is asked;
// an errno other than 0 is returned instead of doing it.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "cache/posix_file_system.hpp"

namespace fourge::tests {

enum class Operation { read, write, rename, remove, make_directories, list, sync, status };

class FaultyFileSystem : public cache::PosixFileSystem {
 public:
  using Hook = std::function<int(Operation operation, const std::string& path)>;

  explicit FaultyFileSystem(Hook asked) : hook(std::move(asked)) {}

  Hook hook;

  cache::IoResult<cache::FileContents> read_file(const std::string& path,
                                                 std::size_t maximum_bytes) override {
    if (const int error = hook(Operation::read, path); error != 0) return {{}, error};
    return PosixFileSystem::read_file(path, maximum_bytes);
  }
  cache::IoStatus write_new_file(const std::string& path,
                                 std::span<const std::byte> bytes) override {
    if (const int error = hook(Operation::write, path); error != 0) return {error};
    return PosixFileSystem::write_new_file(path, bytes);
  }
  cache::IoStatus rename(const std::string& from, const std::string& to) override {
    if (const int error = hook(Operation::rename, to); error != 0) return {error};
    return PosixFileSystem::rename(from, to);
  }
  cache::IoStatus remove(const std::string& path) override {
    if (const int error = hook(Operation::remove, path); error != 0) return {error};
    return PosixFileSystem::remove(path);
  }
  cache::IoStatus make_directories(const std::string& path) override {
    if (const int error = hook(Operation::make_directories, path); error != 0) return {error};
    return PosixFileSystem::make_directories(path);
  }
  cache::IoResult<std::vector<std::string>> list_directory(const std::string& path) override {
    if (const int error = hook(Operation::list, path); error != 0) return {{}, error};
    return PosixFileSystem::list_directory(path);
  }
  cache::IoStatus sync_directory(const std::string& path) override {
    if (const int error = hook(Operation::sync, path); error != 0) return {error};
    return PosixFileSystem::sync_directory(path);
  }
  cache::IoResult<cache::FileStatus> status(const std::string& path) override {
    if (const int error = hook(Operation::status, path); error != 0) return {{}, error};
    return PosixFileSystem::status(path);
  }
};

}  // namespace fourge::tests
