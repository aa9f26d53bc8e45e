// What the cache directory remembers as not compiling.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tools/common_options.hpp"
#include "tools/exit_code.hpp"

namespace fourge::tools {

// `fourge cache list --failed`
ExitCode list_failures(const CommonOptions& common);

struct ClearedFailures {
  std::size_t failures = 0;
  std::size_t sources = 0;  // that were kept because the compiler refused them
  std::uint64_t bytes = 0;
};

// Forgets all of them.
ClearedFailures clear_failures(const CommonOptions& common);

}  // namespace fourge::tools
