// The part of a cache directory in which host execution keeps what it compiled: DIR/host, with
// HASH.ref and HASH.so. Other files there are left alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace fourge::tools {

struct HostBatches {
  std::size_t kernels = 0;  // .ref
  std::size_t objects = 0;  // .so
  std::uint64_t bytes = 0;  // of both
};

HostBatches count_host_batches(const std::string& cache_directory);
// What was removed. Running processes keep what they have loaded.
HostBatches remove_host_batches(const std::string& cache_directory);

}  // namespace fourge::tools
