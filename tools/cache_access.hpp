// How subcommands come to the cache directory.
#pragma once

#include <fourge/options.hpp>

#include "cache/trust.hpp"
#include "tools/common_options.hpp"

namespace fourge::tools {

// The library's options; throws Error(unsupported) if they name no cache directory.
Options options_with_cache(const CommonOptions& common);

// Whose files in it are believed. Throws Error(invalid_argument) if the group that the options name
// does not exist.
cache::TrustPolicy trust_of(const Options& options);

}  // namespace fourge::tools
