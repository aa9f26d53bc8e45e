// A sample of variants in which every value of every axis (the target is one of them) meets every
// value of every other axis, as far as legal.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <cstdint>
#include <functional>
#include <vector>

namespace fourge::jit {

struct SampleRules {
  // What a variant costs whoever works on the sample, in any unit; positive. Without it all cost the same.
  std::function<double(const KernelSpec&)> cost;
  // Targets with the same features, for which the same source is generated, count as one: each pair is met for
  // one of them, and of equally good variants those are taken that show a value to more targets.
  bool by_features = false;
};

// Greedy all-pairs cover of `all`, of each of its operations by itself, in the order in which they come first there;
// what covers most for its cost comes first, and none of it can be left out. The same seed gives the same sample.
std::vector<KernelSpec> pairwise_sample(const std::vector<KernelSpec>& all, std::uint64_t seed,
                                        const SampleRules& rules = {});

}  // namespace fourge::jit
