#include "tests/cache/cache_support.hpp"

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

namespace fourge::tests {

namespace fs = std::filesystem;

TemporaryDirectory::TemporaryDirectory()
    : path_((fs::temp_directory_path() / "fourge_test_XXXXXX").string()) {
  ::umask(022);
  if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + path_);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

cache::CacheKey make_key(std::string_view name) {
  return cache::KeyBuilder().field("spec", name).toolchain("compiler", "13.0").finish();
}

std::vector<std::byte> make_payload(std::string_view name, std::size_t bytes) {
  std::vector<std::byte> payload(bytes);
  for (std::size_t i = 0; i < bytes; ++i) {
    payload[i] =
        static_cast<std::byte>(static_cast<unsigned char>(name[i % name.size()]) + 7 * (i / 256));
  }
  return payload;
}

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_all(const std::string& path, std::string_view content) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

bool exists(const std::string& path) { return fs::exists(fs::symlink_status(path)); }

std::size_t count_files(const std::string& directory, std::string_view suffix) {
  if (!fs::exists(directory)) return 0;
  std::size_t count = 0;
  for (const auto& item : fs::recursive_directory_iterator(directory)) {
    if (item.is_regular_file() && item.path().string().ends_with(suffix)) ++count;
  }
  return count;
}

namespace {

struct stat status_of(const std::string& path) {
  struct stat data {};
  if (::lstat(path.c_str(), &data) != 0) throw std::runtime_error("cannot stat " + path);
  return data;
}

}  // namespace

unsigned mode_of(const std::string& path) { return status_of(path).st_mode & 07777U; }

unsigned group_of(const std::string& path) { return status_of(path).st_gid; }

}  // namespace fourge::tests
