// What the cache directory remembers as not compiling.
#pragma once

#include <cstddef>

#include "tools/command.hpp"

namespace fourge::tools {

// `fourge cache list --failed`
ExitCode list_failures(const CommonOptions& common);

// How many were forgotten.
std::size_t clear_failures(const CommonOptions& common);

}  // namespace fourge::tools
