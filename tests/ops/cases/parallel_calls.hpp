// Runs the calls of many variants on several threads: making the answers is what takes the time.
#pragma once

#include "tests/ops/cases/op_cases.hpp"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fourge::tests {

struct VariantCalls {
  OpCases cases;
  KernelSpec spec;
  CallSize size = CallSize::small;
};

// Of one operation.
struct CallTally {
  std::string_view op;
  std::size_t variants = 0;
  std::size_t calls = 0;
  std::size_t different = 0;             // calls whose results were not the expected ones
  std::vector<std::string> differences;  // what was wrong, of the first of them
  Excused excused;
};
inline constexpr std::size_t kMostDifferences = 8;

// Runs one call; "" or the first difference.
using CallRunner = std::function<std::string(const OpCall&)>;
// Called on a worker's thread, once for each variant.
using PrepareVariant = std::function<CallRunner(const KernelSpec&)>;

// One tally for each operation, in the order of their first variants. An exception counts as a difference
// of the call, or of the variant if it came from `prepare` or from making the calls. Assertions are for
// the caller: Catch2's are not for several threads.
// around: called by each worker with what it has to do, for a scope that its thread needs.
std::vector<CallTally> run_variants(
    std::span<const VariantCalls> variants, unsigned threads, const PrepareVariant& prepare,
    const std::function<void(const std::function<void()>&)>& around);

// The tally as a line: "op: 3 variants, 90 calls; ...".
std::string to_string(const CallTally& tally);

}  // namespace fourge::tests
