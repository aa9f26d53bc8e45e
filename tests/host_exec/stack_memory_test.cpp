// Blocks whose threads get no stack.
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

#include "tests/host_exec/host_test.hpp"

// Sanitizers map more than any limit would let them.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace fourge::tests {

namespace {

// While it lives, the process can map so much more and not beyond.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::size_t more) {
    getrlimit(RLIMIT_AS, &before_);
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const rlimit limit{pages * page + more, before_.rlim_max};
    REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
  }
  ~MemoryLimit() { setrlimit(RLIMIT_AS, &before_); }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("a block without memory for its stacks fails as a whole, and the next one runs",
          "[host]") {
  Kernels kernels({kernel_source("meet", R"(
extern "C" __global__ void meet(int* out) {
  store(&out[threadIdx.x], __syncthreads_count(1));
})")},
                  1);
  std::vector<int> out(1024, -1);
  int* p = out.data();
  std::string message;
  {
    const MemoryLimit limit(std::size_t{64} << 20);  // a quarter of what the stacks take
    try {
      kernels.launch("meet", shape(3, 1024), {region("out", out)}, p);
    } catch (const Error& error) {
      message = error.what();
      CHECK(error.kind() == ErrorKind::io);
    }
  }
  CHECK_CONTAINS(message, "no memory for a thread's stack");
  CHECK(out == std::vector<int>(1024, -1));
  kernels.launch("meet", shape(3, 1024), {region("out", out)}, p);
  CHECK(out == std::vector<int>(1024, 1024));
}

}  // namespace fourge::tests

#endif
