#include "tests/bench/entry_tree.hpp"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include "cache/disk_store.hpp"
#include "cache/entry.hpp"

namespace fourge::bench {

namespace fs = std::filesystem;

cache::CacheKey key_number(std::size_t number) {
  return cache::KeyBuilder()
      .field("spec", fmt::format("nvfp4_quantize[layout=128x4,number={}]", number))
      .field("target", "sm_90a")
      .field("source_sha256", "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9")
      .field("options", {"--std=c++20", "--gpu-architecture=sm_90a", "--restrict"})
      .toolchain("nvrtc", "0123456789abcdef0123456789abcdef01234567")
      .finish();
}

std::vector<std::byte> payload_of(std::size_t bytes) {
  std::vector<std::byte> payload(bytes);
  for (std::size_t i = 0; i < bytes; ++i) payload[i] = static_cast<std::byte>(i * 131 + i / 256);
  return payload;
}

ScratchDirectory::ScratchDirectory()
    : path_((fs::temp_directory_path() / "fourge_bench_XXXXXX").string()) {
  if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + path_);
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void fill_store(const std::string& root, std::size_t count, std::size_t payload_bytes) {
  ::umask(022);  // what others may write is not believed
  const cache::DiskStore store(root);
  const std::vector<std::byte> payload = payload_of(payload_bytes);
  for (std::size_t i = 0; i < count; ++i) {
    const cache::CacheKey key = key_number(i);
    const std::string path = store.path_of(key);
    fs::create_directories(fs::path(path).parent_path());
    const std::string bytes = cache::encode_entry(key, payload);
    std::ofstream file(path, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) throw std::runtime_error("cannot write " + path);
  }
}

}  // namespace fourge::bench
