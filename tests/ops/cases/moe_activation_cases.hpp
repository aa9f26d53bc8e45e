// Calls of moe_activation_quantize with their expected results.
#pragma once

#include "tests/ops/cases/op_cases.hpp"

namespace fourge::tests {

void visit_moe_activation_quantize_calls(const KernelSpec& spec, CallSize size,
                                         const CallSink& sink);

}  // namespace fourge::tests
