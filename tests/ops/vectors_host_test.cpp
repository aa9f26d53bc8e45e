// The known-answer vectors by host execution: for a target without conversion instructions, one with
// E4M3's only, and one with all (emulated).
#include <fourge/runtime.hpp>

#include "tests/ops/cases/vector_calls.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/variant_sample.hpp"

namespace fourge::tests {
namespace {

std::size_t run_vectors(const std::vector<KernelSpec>& specs) {
  Runtime runtime;
  const auto kernels = runtime.prepare_host(specs);
  std::size_t results = 0;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    visit_vector_calls(specs[i], [&](const OpCall& call) {
      const std::string difference = run_on_host(kernels[i], call);
      INFO(difference);
      CHECK(difference.empty());
      ++results;
    });
  }
  return results;
}

}  // namespace

TEST_CASE("the known-answer vectors on the host: 1080 results in every layout", "[vectors]") {
  const std::size_t results = run_vectors(vector_specs(Target::parse("sm_90a")));
  WARN("sm_90a on the host: " << results << " = 3 layouts x " << results / 3
                              << " results of the known-answer vectors");
  CHECK(results == 3 * kVectorResults);
}

TEST_CASE("the known-answer vectors on the host, other conversions", "[vectors]") {
  for (const char* target : {"sm_80", "sm_100a"}) {
    std::vector<KernelSpec> specs;
    for (const KernelSpec& spec : vector_specs(Target::parse(target))) {
      if (full_run() || spec.get("layout") == "8x4") {
        specs.push_back(spec);
      }
    }
    const std::size_t results = run_vectors(specs);
    WARN(target << " on the host: " << results << " results of the known-answer vectors");
    CHECK(results == (full_run() ? 3 : 1) * kVectorResults);
  }
}

}  // namespace fourge::tests
