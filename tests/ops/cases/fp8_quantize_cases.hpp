#pragma once

#include "tests/ops/cases/op_cases.hpp"

namespace fourge::tests {

void visit_fp8_quantize_1x128_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);
void visit_fp8_quantize_128x128_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);

}  // namespace fourge::tests
