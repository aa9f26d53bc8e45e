#include "tests/host_exec/host_test.hpp"

namespace fourge::tests {

namespace {

Kernels& kernels() {
  static Kernels instance({
      kernel_source("early_return", R"(
extern "C" __global__ void early_return(int first, int last) {
  const int t = static_cast<int>(threadIdx.x);
  if (t >= first && t <= last && blockIdx.x == 1) {
    return;
  }
  __syncthreads();
})"),
      kernel_source("two_barriers", R"(
extern "C" __global__ void two_barriers(int odd_one) {
  if (static_cast<int>(threadIdx.x) == odd_one) {
    __syncthreads_or(1);
  } else {
    __syncthreads();
  }
})"),
      kernel_source("missing_lane", R"(
extern "C" __global__ void missing_lane() {
  if (threadIdx.x != 9) {
    __syncwarp();
  }
  __syncthreads();
})"),
      kernel_source("different_operations", R"(
extern "C" __global__ void different_operations() {
  if (threadIdx.x == 40) {
    __ballot_sync(0xFFFFFFFFu, 1);
  } else {
    __any_sync(0xFFFFFFFFu, 1);
  }
})"),
      kernel_source("foreign_mask", R"(
extern "C" __global__ void foreign_mask() {
  __ballot_sync(0x0000FFFFu, 1);
})"),
      kernel_source("unnamed_source", R"(
extern "C" __global__ void unnamed_source() {
  if (threadIdx.x < 16) {
    __shfl_xor_sync(0x0000FFFFu, 1, 16);
  }
})"),
      kernel_source("exit_shuffle", R"(
extern "C" __global__ void exit_shuffle() {
  if (threadIdx.x == 31) {
    return;
  }
  __shfl_xor_sync(0xFFFFFFFFu, 1, 1);
})"),
      kernel_source("objects", R"(
struct Counter {
  int* count;
  __device__ explicit Counter(int* c) : count(c) { atomicAdd(count, 1); }
  __device__ ~Counter() { --*count; }
};
extern "C" __global__ void objects(int* count, int odd_one) {
  Counter counter(count);
  __syncwarp();
  if (static_cast<int>(threadIdx.x) == odd_one) {
    return;
  }
  __syncthreads();
})"),
  });
  return instance;
}

std::string message_of(const char* entry, std::uint32_t threads = 64) {
  return internal_error([&] { kernels().launch(entry, shape(1, threads), {}); });
}

}  // namespace

TEST_CASE("a barrier that not all threads reach names both sides", "[host]") {
  int first = 10;
  int last = 12;
  const auto message =
      internal_error([&] { kernels().launch("early_return", shape(3, 64), {}, first, last); });
  CHECK_CONTAINS(message, "host execution of early_return: block (1,0,0), thread (0,0,0): waits");
  CHECK_CONTAINS(message,
                 "at __syncthreads: (0,0,0) to (9,0,0), (13,0,0) to (63,0,0) (61 of 64 threads)");
  CHECK_CONTAINS(message, "exited without arriving: (10,0,0) to (12,0,0) (3 of 64 threads)");

  first = 0;
  last = 63;
  kernels().launch("early_return", shape(3, 64), {}, first, last);  // all left: nobody waits
  first = -1;
  last = -1;
  kernels().launch("early_return", shape(3, 64), {}, first, last);
}

TEST_CASE("threads at different barriers are reported", "[host]") {
  int odd_one = 5;
  const auto message =
      internal_error([&] { kernels().launch("two_barriers", shape(1, 64), {}, odd_one); });
  CHECK_CONTAINS(message, "thread (5,0,0): waits at __syncthreads_or while other threads");
  odd_one = 64;
  kernels().launch("two_barriers", shape(1, 64), {}, odd_one);
}

TEST_CASE("a warp operation that a named lane does not reach is reported", "[host]") {
  const auto missing = message_of("missing_lane", 32);
  CHECK_CONTAINS(missing, "thread (0,0,0) of warp 0 waits in __syncwarp with mask 0xffffffff");
  CHECK_CONTAINS(missing, "lanes 0xfffffdff arrived, lanes 0x00000200 did not");
  CHECK_CONTAINS(missing, "at __syncthreads: (9,0,0) (1 of 32 threads)");

  const auto different = message_of("different_operations");
  CHECK_CONTAINS(different, "of warp 1 waits in __any_sync");
  CHECK_CONTAINS(different, "thread (40,0,0) of warp 1 waits in __ballot_sync");

  CHECK_CONTAINS(message_of("foreign_mask"),
                 "thread (16,0,0): calls __ballot_sync with mask 0x0000ffff, which does not name "
                 "its own lane 16");
}

TEST_CASE("a shuffle must read a lane that takes part", "[host]") {
  CHECK_CONTAINS(message_of("unnamed_source"),
                 "thread (0,0,0): __shfl_xor_sync reads lane 16, which mask 0x0000ffff does not");
  CHECK_CONTAINS(message_of("exit_shuffle", 32),
                 "thread (30,0,0): __shfl_xor_sync reads lane 31, which has exited");
}

TEST_CASE("the threads of a failed block are unwound", "[host]") {
  std::vector<int> count(1);
  int* p = count.data();
  const int odd_one = 63;
  internal_error(
      [&] { kernels().launch("objects", shape(1, 64), {region("count", count)}, p, odd_one); });
  CHECK(count[0] == 0);  // every destructor ran
  const int nobody = 64;
  kernels().launch("objects", shape(1, 64), {region("count", count)}, p, nobody);
  CHECK(count[0] == 0);
}

}  // namespace fourge::tests
