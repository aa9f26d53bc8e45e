// A sample of variants in which every value of every axis (the target is one of them) meets every
// value of every other axis, as far as legal.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <cstdint>
#include <vector>

namespace fourge::jit {

// Greedy all-pairs cover of `all`, which must be of one op; what covers most comes first. The same
// seed gives the same sample.
std::vector<KernelSpec> pairwise_sample(const std::vector<KernelSpec>& all, std::uint64_t seed);

}  // namespace fourge::jit
