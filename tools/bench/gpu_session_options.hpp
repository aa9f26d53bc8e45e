// The options of a subcommand that measures on a GPU.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "tools/bench/gpu_session.hpp"

namespace fourge::tools {

// what, --shapes, --samples and --on. options must outlive the command.
void add_gpu_session_options(CLI::App& command, GpuSessionOptions& options,
                             const std::string& what_help, const std::string& samples_help);

}  // namespace fourge::tools
