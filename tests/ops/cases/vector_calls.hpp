// The known-answer vectors of tests/vectors as calls of nvfp4_quantize and nvfp4_quantize_per_token:
// 1080 results, each answered by one call in each layout.
#pragma once

#include <fourge/kernel_spec.hpp>

#include "tests/ops/cases/op_cases.hpp"

#include <vector>

namespace fourge::tests {

inline constexpr std::size_t kVectorResults = 1080;

// Both operations in exact mode: both element types, standard and the eight configurations of 4over6,
// every layout. What does not change bits (axes tpc and row) takes its values in turn.
std::vector<KernelSpec> vector_specs(const Target& target);

// The calls of all results that are this spec's. Expected bytes are the vectors', placed by the
// layout's formula with zeros as padding.
void visit_vector_calls(const KernelSpec& spec, const CallSink& sink);

}  // namespace fourge::tests
