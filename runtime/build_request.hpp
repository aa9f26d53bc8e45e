// What is wanted of a compiler or a cache.
#pragma once

#include <fourge/runtime.hpp>

#include "cache/key.hpp"

#include <string>
#include <vector>

namespace fourge {

// Everything that decides the bytes of a cubin.
struct BuildRequest {
  KernelSpec spec;
  std::string source;
  std::vector<std::string> options;
  cache::CacheKey key;
};

// All but the cubin, as if this process compiled it.
Artifact artifact_of(const BuildRequest& request);

}  // namespace fourge
