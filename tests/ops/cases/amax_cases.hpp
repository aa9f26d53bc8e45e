#pragma once

#include "tests/ops/cases/op_cases.hpp"

namespace fourge::tests {

void visit_row_amax_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);
void visit_global_scale_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);

}  // namespace fourge::tests
