// What `fourge bench` and `fourge tune` have in common: their options, the GPU they work on, and kernels that
// are compiled before anything is timed.
#pragma once

#include <fourge/device.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/runtime.hpp>

#include <cstddef>
#include <string>
#include <vector>

#include "tools/common_options.hpp"

namespace fourge::tools {

struct GpuSessionOptions {
  std::vector<std::string> what;
  std::string shapes;
  std::size_t samples = 30;
  std::string on = "gpu";
};

// The device that --on names. Throws Error(unsupported) without one; purpose: "a benchmark".
DeviceInfo open_gpu(const GpuSessionOptions& options, const std::string& purpose);

// The options of a Runtime whose background compiles run in processes of this command.
Options session_options(const CommonOptions& common);

// Compiles what is not in the cache, side by side in worker processes, so that compiles take no time from
// measurements. What does not compile is reported by whoever prepares it. Ends early, with the rest cancelled, when
// an interruption is wanted.
void compile_ahead(Runtime& runtime, const std::vector<KernelSpec>& specs);

}  // namespace fourge::tools
