// The function table that compiled kernels call.
#pragma once

#include "runtime/host/abi.hpp"

namespace fourge::host {

// Each hook works on the block that the calling OS thread runs.
const fourge_host::Hooks& kernel_hooks() noexcept;

}  // namespace fourge::host
