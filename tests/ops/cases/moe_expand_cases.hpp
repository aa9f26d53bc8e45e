#pragma once

#include "tests/ops/cases/op_cases.hpp"

namespace fourge::tests {

void visit_moe_expand_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);

}  // namespace fourge::tests
