// Calls of the routing operations with their expected results.
#pragma once

#include "tests/ops/cases/op_cases.hpp"

namespace fourge::tests {

void visit_moe_route_topk_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);
void visit_moe_route_maps_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);

}  // namespace fourge::tests
