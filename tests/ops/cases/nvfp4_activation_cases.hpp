#pragma once

#include "tests/ops/cases/op_cases.hpp"

namespace fourge::tests {

void visit_silu_and_mul_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);
void visit_nvfp4_quantize_grouped_calls(const KernelSpec& spec, CallSize size,
                                        const CallSink& sink);

}  // namespace fourge::tests
