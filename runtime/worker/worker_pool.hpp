// Worker processes that build specs. NVRTC compiles one thing at a time in a process and cannot be
// stopped at a deadline; a process can.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/worker/worker_process.hpp"
#include "runtime/worker/worker_protocol.hpp"

namespace fourge::worker {

struct PoolOptions {
  WorkerSettings worker;
  std::size_t workers = 1;
  // Asked several times a second. Once it is true, nothing more is handed out; what is under way is waited for.
  std::function<bool()> stop;
};

struct BuildResult {
  const KernelSpec* spec = nullptr;
  WorkerAnswer answer;
};

// Builds every spec, unless stopped, and calls report for each as its answer comes, on the calling thread. A worker
// that dies, or is killed because its build passed the deadline or the worker the memory limit, fails
// that spec only ("worker_died", "timeout", "out_of_memory" as error_kind) and is replaced. Throws
// Error(io) if no worker can be started. Nothing is reported of a spec whose worker died after the stop: a signal from a
// terminal comes to workers, too.
void build_in_workers(const std::vector<KernelSpec>& specs, const PoolOptions& options,
                      const std::function<void(const BuildResult&)>& report);

}  // namespace fourge::worker
