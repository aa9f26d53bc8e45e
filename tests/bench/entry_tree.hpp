// A cache directory full of entries, for benchmarks: files written as they are, without a sync for
// each as a publish would.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cache/key.hpp"

namespace fourge::bench {

// Equal numbers give equal keys; fields as those of a real kernel.
cache::CacheKey key_number(std::size_t number);

std::vector<std::byte> payload_of(std::size_t bytes);

// An empty directory, private to the user; removed with all that is in it.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

// Writes the entries of key_number(0 .. count-1) below root. Throws std::runtime_error if a file
// cannot be written.
void fill_store(const std::string& root, std::size_t count, std::size_t payload_bytes);

}  // namespace fourge::bench
