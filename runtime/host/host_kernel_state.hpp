// What a HostKernel points to.
#pragma once

#include <fourge/kernel_spec.hpp>

#include "runtime/host/launch.hpp"

namespace fourge::host {
class HostExecutor;
}

namespace fourge::detail {

// Immutable; owned by the executor.
struct HostKernelState {
  KernelSpec spec;
  const host::HostFunction* function;
  host::HostExecutor* executor;
};

}  // namespace fourge::detail
