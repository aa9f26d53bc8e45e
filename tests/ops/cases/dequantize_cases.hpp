#pragma once

#include "tests/ops/cases/op_cases.hpp"

namespace fourge::tests {

void visit_nvfp4_dequantize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);
void visit_mxfp4_dequantize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);
void visit_mxfp8_dequantize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);

}  // namespace fourge::tests
