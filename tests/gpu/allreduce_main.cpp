// Runs the tests of all-reduce over this machine's devices; ends with 77 (skipped, for CTest) where there are
// fewer than two. As `--rank-process ...` it is one rank of a test that has processes for ranks, and with
// `--manifest [RANKS]` it prints the specs that the tests take, for `fourge prewarm --manifest`.
#define CATCH_CONFIG_RUNNER
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "tests/gpu/allreduce_process.hpp"
#include "tests/gpu/allreduce_support.hpp"
#include "tests/support/catch.hpp"

namespace {

int print_manifest(int ranks) {
  std::string specs;
  for (const char* dtype : {"bf16", "f16"}) {
    for (const std::string& axes : fourge::tests::allreduce_axes(dtype, ranks)) {
      for (const char* algorithm : {"one_shot", "two_shot"}) {
        specs += std::string(specs.empty() ? "" : ",\n") + "    \"allreduce_rmsnorm_quantize[" +
                 axes + ",in=" + dtype + ",ranks=" + std::to_string(ranks) +
                 ",algorithm=" + algorithm + "]\"";
      }
    }
  }
  std::printf("{\n  \"fourge_manifest\": 1,\n  \"specs\": [\n%s\n  ]\n}\n", specs.c_str());
  return 0;
}

}  // namespace

int main(int argc, char* argv[]) {
  // NCCL's use of NVLink multicast is not what is tested here, and not every machine bears it.
  ::setenv("NCCL_NVLS_ENABLE", "0", 1);
  if (argc > 1 && std::strcmp(argv[1], "--rank-process") == 0) {
    return fourge::tests::rank_process(argc - 2, argv + 2);
  }
  if (argc > 1 && std::strcmp(argv[1], "--manifest") == 0) {
    return print_manifest(argc > 2 ? std::atoi(argv[2]) : fourge::tests::test_ranks());
  }
  std::string reason;
  const auto devices = fourge::list_devices(&reason);
  if (devices.size() < 2) {
    std::printf("all-reduce tests: skipped: %zu GPU(s), 2 are needed%s%s\n", devices.size(),
                reason.empty() ? "" : ": ", reason.c_str());
    return 77;
  }
  std::printf("all-reduce tests: %d ranks on %s, driver %d\n", fourge::tests::test_ranks(),
              devices[0].name.c_str(), fourge::driver_version());
  std::fflush(stdout);
  try {
    return Catch::Session().run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "all-reduce tests: %s\n", error.what());
    return 1;
  }
}
