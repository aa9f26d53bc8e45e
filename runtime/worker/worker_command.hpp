// How a worker process is started for a Runtime's options.
#pragma once

#include <fourge/options.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/worker/worker_process.hpp"

namespace fourge::worker {

// The command, environment, deadline and memory limit of each of so many workers: they use the caches,
// the compiler and the limits of the options. The environment is Options::worker_environment with what
// the options say in place of what it says.
WorkerSettings worker_settings(const Options& options, std::size_t workers,
                               const std::string& log_level = "error");

// As many workers at once as make sense here.
std::size_t default_workers(const Options& options);

// A share of three quarters of the machine; never so little that a compile would not fit, and no more
// than any has a use for.
std::uint64_t default_worker_memory(std::size_t workers);

// The fourge command: beside this library or program, in ../bin of it, or in a directory of the list
// (as PATH has it); empty if there is none.
std::string find_worker_program(const std::string& path_list);

}  // namespace fourge::worker
