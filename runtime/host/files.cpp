#include "runtime/host/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fourge/error.hpp>
#include <fstream>
#include <sstream>
#include <system_error>

namespace fourge::host {

namespace {

[[noreturn]] void fail(const char* what, const std::string& path) {
  throw Error(ErrorKind::io,
              fmt::format("host execution: cannot {} {}: {}", what, path, std::strerror(errno)));
}

void sync_path(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) {
    fail("open", path);
  }
  const int status = fsync(fd);
  close(fd);
  if (status != 0 && errno != EINVAL) {  // some file systems cannot
    fail("sync", path);
  }
}

}  // namespace

std::string make_unique_directory(const std::string& prefix) {
  std::string path = prefix + "XXXXXX";
  if (mkdtemp(path.data()) == nullptr) {
    fail("create directory", path);
  }
  return path;
}

std::string temporary_root() {
  std::error_code error;
  const auto path = std::filesystem::temp_directory_path(error);
  return error ? "/tmp" : path.string();
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    return std::nullopt;
  }
  std::ostringstream text;
  text << stream.rdbuf();
  return stream.bad() ? std::nullopt : std::optional(text.str());
}

void write_file(const std::string& path, std::string_view text) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  stream.close();
  if (!stream) {
    fail("write", path);
  }
}

void publish_file(const std::string& from, const std::string& to) {
  sync_path(from, O_RDONLY);
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    fail("publish", to);
  }
  sync_path(std::filesystem::path(to).parent_path().string(), O_RDONLY | O_DIRECTORY);
}

ScopedDirectory::~ScopedDirectory() {
  if (!path_.empty()) {
    std::error_code ignored;  // a leftover in a temporary directory harms nobody
    std::filesystem::remove_all(path_, ignored);
  }
}

}  // namespace fourge::host
