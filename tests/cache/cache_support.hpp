// What the cache tests share: a directory of their own, keys, and plain file access that does not
// go through the code under test.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/key.hpp"

namespace fourge::tests {

// An empty directory; removed with all that is in it. Sets the process's umask to 022: the store
// does not believe what tests make with a laxer one.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + '/' + std::string(name); }

 private:
  std::string path_;
};

// Equal names give equal keys.
cache::CacheKey make_key(std::string_view name);

// Bytes that differ from key to key.
std::vector<std::byte> make_payload(std::string_view name, std::size_t bytes = 3000);

std::span<const std::byte> as_bytes(std::string_view text);

std::string read_all(const std::string& path);
// Creates the directories above, too.
void write_all(const std::string& path, std::string_view content);
bool exists(const std::string& path);  // links are not followed
std::size_t count_files(const std::string& directory, std::string_view suffix);  // recursive
unsigned mode_of(const std::string& path);
unsigned group_of(const std::string& path);

}  // namespace fourge::tests
