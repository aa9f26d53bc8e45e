// Runs the tests of all-reduce over this machine's devices, one rank each; ends with 77 (skipped, for CTest) where
// that is fewer than two. FOURGE_TEST_RANKS: other numbers of ranks, which may share devices. As
// `--rank-process ...` it is one rank of a test that has processes for ranks, with `--manifest [RANKS]` it prints
// the specs that the tests take, for `fourge prewarm --manifest`, and with `--devices` how many it sees.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "tests/gpu/allreduce_process.hpp"
#include "tests/gpu/allreduce_support.hpp"
#include "tests/support/catch_session.hpp"

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

// -1: the tests can run; else how the program ends.
int look_at_devices() {
  std::string reason;
  const auto devices = fourge::list_devices(&reason);
  const char* const wanted = std::getenv("FOURGE_TEST_RANKS");
  const int ranks = fourge::tests::test_ranks();
  if (devices.empty() || (devices.size() < 2 && ranks < 2)) {
    std::printf(
        "all-reduce tests: skipped: %zu GPU(s), 2 are needed, or FOURGE_TEST_RANKS=2 for "
        "ranks that share one%s%s\n",
        devices.size(), reason.empty() ? "" : ": ", reason.c_str());
    return 77;
  }
  if (wanted != nullptr && ranks < std::atoi(wanted)) {
    std::printf(
        "all-reduce tests: FOURGE_TEST_RANKS is %s; with %zu GPU(s) at most %d are tested\n",
        wanted, devices.size(), ranks);
    return 1;
  }
  std::printf("all-reduce tests: %d ranks on %zu %s, driver %d%s\n", ranks, devices.size(),
              devices[0].name.c_str(), fourge::driver_version(),
              fourge::tests::ranks_share_devices() ? "; ranks share devices" : "");
  std::fflush(stdout);
  return -1;
}

}  // namespace

int main(int argc, char* argv[]) {
  // NCCL's use of NVLink multicast is not what is tested here, and not every machine bears it.
  ::setenv("NCCL_NVLS_ENABLE", "0", 1);
  if (std::getenv("FOURGE_TEST_RANKS") != nullptr) {
    // For ranks that share a device: a queue for each stream, and nothing that is loaded at its first launch,
    // which would wait for the other ranks' kernels.
    ::setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
    ::setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  }
  if (argc > 1 && std::strcmp(argv[1], "--rank-process") == 0) {
    return fourge::tests::rank_process(argc - 2, argv + 2);
  }
  if (argc > 1 && std::strcmp(argv[1], "--devices") == 0) {
    std::printf("%d\n", fourge::tests::test_devices());
    return 0;
  }
  if (argc > 1 && std::strcmp(argv[1], "--manifest") == 0) {
    return print_manifest(argc > 2 ? std::atoi(argv[2]) : fourge::tests::test_ranks());
  }
  if (const int end = look_at_devices(); end >= 0) return end;
  try {
    return fourge::tests::run_catch(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "all-reduce tests: %s\n", error.what());
    return 1;
  }
}
