// What `fourge prewarm` is asked for.
#pragma once

#include <fourge/kernel_spec.hpp>
#include <fourge/options.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace fourge::tools {

struct PrewarmRequest {
  std::string targets;  // "sm_90a,sm_100a", "all", or empty
  std::vector<std::string> ops;
  std::string filter;
  std::string manifest;  // a file; empty: none
  bool from_history = false;
};

struct PrewarmSpecs {
  std::vector<KernelSpec> specs;  // each once
  std::size_t unknown = 0;        // texts of the history that are no specs of this version
};

// Throws Error(invalid_argument) if nothing says which, and what the manifest is refused with.
PrewarmSpecs find_specs(const PrewarmRequest& request, const Options& options);

}  // namespace fourge::tools
