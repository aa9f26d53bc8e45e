#pragma once

#include "tests/ops/cases/op_cases.hpp"

namespace fourge::tests {

void visit_scale_interleave_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);
void visit_scale_deinterleave_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);

}  // namespace fourge::tests
