// For every operation the calls that its variants must answer, with the answers of the CPU
// reference. The host test and the GPU test run the same calls.
#pragma once

#include <fourge/kernel_spec.hpp>

#include "tests/support/op_call.hpp"

#include <functional>
#include <span>
#include <string_view>

namespace fourge::tests {

enum class CallSize {
  small,  // milliseconds on the host
  large,  // for a GPU: tensors of millions of elements
};

using CallSink = std::function<void(const OpCall&)>;

struct OpCases {
  std::string_view op;
  // Hands every call of this size for the variant to the sink.
  void (*visit)(const KernelSpec& spec, CallSize size, const CallSink& sink);
};

// One for each operation, in the order of all_ops().
std::span<const OpCases> all_op_cases();

}  // namespace fourge::tests
