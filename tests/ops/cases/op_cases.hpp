// For every operation the calls that its variants must answer, with the answers of the CPU
// reference. The host test and the GPU test run the same calls.
#pragma once

#include <fourge/kernel_spec.hpp>

#include "tests/support/op_call.hpp"

#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace fourge::tests {

enum class CallSize {
  small,  // milliseconds on the host
  large,  // for a GPU: tensors of millions of elements
  // The published matrix of shapes and initial values, no rows, and rows from 16 to 65536 elements.
  // Of nvfp4_quantize and nvfp4_quantize_per_token; the others take it as small.
  matrix_small,  // its shapes up to 128x64 and short single rows
  matrix,        // all of them
};

using CallSink = std::function<void(const OpCall&)>;

struct OpCases {
  std::string_view op;
  // Hands every call of this size for the variant to the sink.
  void (*visit)(const KernelSpec& spec, CallSize size, const CallSink& sink);
};

// One for each operation, in the order of all_ops().
std::span<const OpCases> all_op_cases();

// The legal variants of an op that visit() has calls for: not those that need several ranks.
std::vector<KernelSpec> variants_with_calls(std::string_view op, std::span<const Target> targets);

}  // namespace fourge::tests
