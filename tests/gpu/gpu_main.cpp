// Runs the tests on the first device; exits with 77 (skipped, for CTest) where there is none.
#include <cstdio>
#include <exception>

#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/catch_session.hpp"

int main(int argc, char* argv[]) {
  std::string reason;
  const auto devices = fourge::list_devices(&reason);
  if (devices.empty()) {
    std::printf("gpu tests: skipped: no GPU: %s\n", reason.c_str());
    return 77;
  }
  if (!devices[0].target) {
    std::printf("gpu tests: skipped: no target for %s (compute capability %d.%d)\n",
                devices[0].name.c_str(), devices[0].major, devices[0].minor);
    return 77;
  }
  try {
    const fourge::tests::Gpu gpu;
    std::printf("gpu tests: %s, %s, driver %d, %zu device(s)\n", devices[0].name.c_str(),
                gpu.target().text().c_str(), fourge::driver_version(), devices.size());
    std::fflush(stdout);
    return fourge::tests::run_catch(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu tests: %s\n", error.what());
    return 1;
  }
}
