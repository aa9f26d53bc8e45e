// The options that every subcommand takes.
#pragma once

#include <fourge/options.hpp>

#include <string>
#include <vector>

namespace fourge::tools {

struct CommonOptions {
  std::string cache_dir;               // empty: from the environment
  std::vector<std::string> read_only;  // empty: from the environment
  std::string nvrtc;                   // empty: from the environment, then the search
  std::string log = "warn";
  bool json = false;
};

// The environment's options, overridden by the command line's; messages go to standard error.
Options library_options(const CommonOptions& common);

}  // namespace fourge::tools
