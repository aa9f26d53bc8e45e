// A sample of variants in which every value of every axis (the target is one of them) meets every
// value of every other axis, as far as legal. Seeded, so that a run can be repeated.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <cstdint>
#include <vector>

namespace fourge::tests {

// The legal variants of an op for all the targets given.
std::vector<KernelSpec> variants_for(const OpDefinition& op, std::span<const Target> targets);

// The variants of nvfp4_quantize with one scale for a tensor of 16-bit elements and without 4over6: the
// ones that are tested completely, where others are sampled.
std::vector<KernelSpec> basic_nvfp4_variants(const Target& target);

// Which targets a sample tells apart: each, or those of different features only, for which different source
// is generated.
enum class SampleTargets { each, features };

// All-pairs cover of `all`, of each operation by itself, with as few as it gets of the variants that take NVRTC long.
std::vector<KernelSpec> pairwise_sample(const std::vector<KernelSpec>& all, std::uint64_t seed,
                                        SampleTargets targets = SampleTargets::each);

// A few of those: each value of each axis is in one of them at least, and those that show the most pairs
// come first.
std::vector<KernelSpec> axis_value_sample(const std::vector<KernelSpec>& all, std::uint64_t seed);

// Whether the number-th of a list is this process's to do: FOURGE_PART=I/N, I from 1, shares a long run among N.
bool own_part(std::size_t number);

// Whether FOURGE_FULL is set to 1: then tests take every variant instead of a sample.
bool full_run();

// All of them in a full run or when there are at most `most`, otherwise a pairwise sample.
std::vector<KernelSpec> sampled(const std::vector<KernelSpec>& all, std::size_t most,
                                std::uint64_t seed);

}  // namespace fourge::tests
