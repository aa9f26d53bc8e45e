// Bundles as files in a test's own directory.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/random_access_file.hpp"
#include "cache/signature.hpp"
#include "tests/cache/cache_support.hpp"

namespace fourge::tests {

// The bundle of entries of these names (make_key, make_payload), as bytes.
std::string make_bundle(const std::vector<std::string>& names, const cache::PrivateKey* key,
                        std::size_t payload_bytes = 40);

// Writes the file with mode 0600.
void write_private(const std::string& path, std::string_view content);

// A file in memory; counts the reads, and answers them with an errno if one is set.
struct MemoryFile {
  std::string content;
  std::size_t opens = 0;
  std::size_t reads = 0;
  int open_error = 0;
  int read_error = 0;
  std::uint32_t mode = 0600;
  std::uint32_t owner = cache::effective_user();

  cache::OpenFile opener();
};

}  // namespace fourge::tests
