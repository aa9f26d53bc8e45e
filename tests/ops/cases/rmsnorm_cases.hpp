// Calls of rmsnorm_quantize with their expected results.
#pragma once

#include "tests/ops/cases/op_cases.hpp"

namespace fourge::tests {

void visit_rmsnorm_quantize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);

}  // namespace fourge::tests
