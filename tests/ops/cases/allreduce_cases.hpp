// Calls of allreduce_rmsnorm_quantize by one rank by itself, with their expected results. Those of several
// ranks are tested as a group: tests/host_exec and tests/gpu.
#pragma once

#include "tests/ops/cases/norm_expected.hpp"
#include "tests/ops/cases/op_cases.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace fourge::tests {

// One call of a group: what its ranks have, and what each must get.
struct AllreduceCase {
  std::int64_t rows;
  std::int64_t cols;
  std::vector<std::vector<std::uint16_t>> x;  // of each rank
  std::vector<std::uint16_t> residual;        // the same on all ranks, as is what follows
  std::vector<std::uint16_t> weight;
  std::vector<std::uint16_t> sum;
  NormExpected after;  // not with out=sum
};

// Inputs drawn from the seed: random numbers, with negative zeros, and with `specials` also NaN, infinities
// and subnormals.
AllreduceCase make_allreduce_case(const KernelSpec& spec, std::int64_t rows, std::int64_t cols,
                                  bool specials, std::uint64_t seed);

void visit_allreduce_calls(const KernelSpec& spec, CallSize size, const CallSink& sink);

}  // namespace fourge::tests
