#include <algorithm>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <thread>

#include "tests/host_exec/host_test.hpp"

namespace fourge::tests {

namespace {

Kernels& kernels() {
  static Kernels instance({
      kernel_source("saxpy", R"(
extern "C" __global__ void __launch_bounds__(128) saxpy(float a, const float* __restrict__ x,
                                                        float* y, long long n) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) {
    store(&y[i], a * load(&x[i]) + load(&y[i]));
  }
})"),
      kernel_source("block_sum", R"(
extern "C" __global__ void __launch_bounds__(256) block_sum(const int* x, int* sums) {
  __shared__ int partial[256];
  store_shared(&partial[threadIdx.x], load(&x[blockIdx.x * blockDim.x + threadIdx.x]));
  __syncthreads();
  #pragma unroll
  for (unsigned stride = blockDim.x / 2; stride != 0; stride /= 2) {
    if (threadIdx.x < stride) {
      store_shared(&partial[threadIdx.x],
                   load_shared(&partial[threadIdx.x]) + load_shared(&partial[threadIdx.x + stride]));
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    store(&sums[blockIdx.x], load_shared(&partial[0]));
  }
})"),
      kernel_source("barrier_votes", R"(
extern "C" __global__ void barrier_votes(int* results) {
  const int any_none = __syncthreads_or(0);
  const int any_one = __syncthreads_or(threadIdx.x == 37 ? 4 : 0);
  const int all_but_one = __syncthreads_and(threadIdx.x != 37);
  const int all = __syncthreads_and(2);
  const int count = __syncthreads_count(threadIdx.x % 3 == 0);
  store(&results[threadIdx.x],
        any_none + 10 * any_one + 100 * all_but_one + 1000 * all + 10000 * count);
})"),
      kernel_source("indices", R"(
extern "C" __global__ void indices(unsigned* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  unsigned* const p = out + 6 * (block * threads + thread);
  store(p, blockIdx.x);
  store(p + 1, blockIdx.y);
  store(p + 2, blockIdx.z);
  store(p + 3, threadIdx.x);
  store(p + 4, threadIdx.y);
  store(p + 5, threadIdx.z);
})"),
      kernel_source("far_store", R"(
extern "C" __global__ void far_store(unsigned char* base, long long offset) {
  store(base + offset + threadIdx.x, static_cast<unsigned char>(threadIdx.x + 1));
})"),
      kernel_source("dynamic_reverse", R"(
extern "C" __global__ void dynamic_reverse(int* data) {
  int* const buffer = static_cast<int*>(fourge_host::dynamic_shared());
  store_shared(&buffer[threadIdx.x], load(&data[threadIdx.x]));
  __syncthreads();
  store(&data[threadIdx.x], load_shared(&buffer[blockDim.x - 1 - threadIdx.x]));
})"),
      kernel_source("cluster_turn", R"(
extern "C" __global__ void cluster_turn(unsigned* out, int barrier_first) {
  const auto* self = fourge_host::context();
  unsigned* const inbox = static_cast<unsigned*>(fourge_host::dynamic_shared());
  __shared__ unsigned own;
  if (threadIdx.x == 0) {
    store_shared(&own, 100 * blockIdx.x);
  }
  if (barrier_first != 0) {
    fourge_host::cluster_barrier();
  }
  if (threadIdx.x == 0) {
    const unsigned next = (self->cluster_rank + 1) % self->cluster_size;
    fourge_host::cluster_store(inbox + 1, next, load_shared(&own) + self->cluster_rank);
  }
  fourge_host::cluster_barrier();
  store(&out[blockIdx.x * blockDim.x + threadIdx.x], load_shared(inbox + 1));
})"),
      kernel_source("atomics", R"(
extern "C" __global__ void atomics(int* i, unsigned* u, unsigned long long* l, float* f) {
  __shared__ int in_block;
  if (threadIdx.x == 0) {
    store_shared(&in_block, 0);
  }
  __syncthreads();
  atomicAdd(&in_block, 1);
  __syncthreads();
  if (threadIdx.x == 0) {
    atomicAdd(i, load_shared(&in_block));
  }
  atomicAdd(u, 2u);
  atomicAdd(l, 1ull << 33);
  atomicAdd(f, 0.5f);
  const int rank = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicMax(i + 1, rank);
  atomicMax(u + 1, static_cast<unsigned>(rank));
  atomicMax(f + 1, static_cast<float>(rank));
})"),
      kernel_source("many_barriers", R"(
extern "C" __global__ void __launch_bounds__(1024) many_barriers(int* out, int rounds) {
  int sum = 0;
  for (int i = 0; i < rounds; ++i) {
    sum += __syncthreads_count(static_cast<int>(threadIdx.x) < i);
  }
  store(&out[threadIdx.x], sum);
})"),
      {"constants_and_attributes", R"(
namespace detail { template <class T> __host__ __device__ __noinline__ T twice(T x) { return x + x; } }
namespace { struct Config { static constexpr int kFactor = 3; }; }
__constant__ int table[4] = {1, 2, 3, 4};
struct __align__(16) Parameters { int* out; int n; };
template <class C> __device__ void body(const Parameters& p) {
  p.out[threadIdx.x] = detail::twice(table[threadIdx.x % 4]) * C::kFactor + p.n;
}
extern "C" __global__ void __launch_bounds__(32, 2) constants_and_attributes(
    const __grid_constant__ Parameters p) {
  body<Config>(p);
})",
       ""},
  });
  return instance;
}

}  // namespace

TEST_CASE("saxpy over several blocks, with idle threads in the last", "[host]") {
  std::vector<float> x(1000);
  std::iota(x.begin(), x.end(), 0.0F);
  std::vector<float> y(1000, 1.0F);
  const float a = 2.0F;
  const float* px = x.data();
  float* py = y.data();
  const long long n = 1000;
  kernels().launch("saxpy", shape(8, 128), {region("x", x, Access::read), region("y", y)}, a, px,
                   py, n);
  for (std::size_t i = 0; i < y.size(); ++i) {
    REQUIRE(y[i] == 2.0F * static_cast<float>(i) + 1.0F);
  }
}

TEST_CASE("a block reduces through shared memory and barriers", "[host]") {
  std::vector<int> x(5 * 256);
  std::iota(x.begin(), x.end(), 0);
  std::vector<int> sums(5);
  const int* px = x.data();
  int* psums = sums.data();
  kernels().launch("block_sum", shape(5, 256),
                   {region("x", x, Access::read), region("sums", sums, Access::write)}, px, psums);
  for (int block = 0; block < 5; ++block) {
    const int first = block * 256;
    CHECK(sums[static_cast<std::size_t>(block)] == 256 * first + 255 * 128);
  }
}

TEST_CASE("barriers with a vote give every thread the block's answer", "[host]") {
  std::vector<int> results(100);
  int* out = results.data();
  kernels().launch("barrier_votes", shape(1, 100), {region("results", results)}, out);
  for (const int result : results) {
    REQUIRE(result == 0 + 10 + 0 + 1000 + 10000 * 34);
  }
}

TEST_CASE("grid and block have three dimensions", "[host]") {
  const LaunchShape s{{3, 2, 4}, {5, 3, 2}, 0, false};
  std::vector<unsigned> out(3 * 2 * 4 * 5 * 3 * 2 * 6, 99);
  unsigned* p = out.data();
  kernels().launch("indices", s, {region("out", out, Access::write)}, p);
  std::size_t i = 0;
  for (unsigned bz = 0; bz < 4; ++bz)
    for (unsigned by = 0; by < 2; ++by)
      for (unsigned bx = 0; bx < 3; ++bx)
        for (unsigned tz = 0; tz < 2; ++tz)
          for (unsigned ty = 0; ty < 3; ++ty)
            for (unsigned tx = 0; tx < 5; ++tx, i += 6) {
              const std::vector<unsigned> found(out.begin() + static_cast<std::ptrdiff_t>(i),
                                                out.begin() + static_cast<std::ptrdiff_t>(i) + 6);
              REQUIRE(found == std::vector<unsigned>{bx, by, bz, tx, ty, tz});
            }
}

TEST_CASE("offsets beyond 32 bits reach where they should", "[host]") {
  // The kernel gets a base far before the buffer, as a 64-bit offset into a large tensor would.
  std::vector<unsigned char> buffer(64);
  const long long offset = (5LL << 32) + 12345;
  auto* base = reinterpret_cast<unsigned char*>(reinterpret_cast<std::uintptr_t>(buffer.data()) -
                                                static_cast<std::uintptr_t>(offset));
  kernels().launch("far_store", shape(1, 64), {region("buffer", buffer)}, base, offset);
  for (std::size_t i = 0; i < buffer.size(); ++i) {
    REQUIRE(buffer[i] == i + 1);
  }
}

TEST_CASE("the CTAs of a cluster run together and store into each other's memory", "[host]") {
  LaunchShape s = shape(12, 40, 8);
  s.cluster = 4;
  std::vector<unsigned> out(12 * 40, 99);
  unsigned* p = out.data();
  int barrier_first = 1;
  for (int round = 0; round < 20; ++round) {
    kernels().launch("cluster_turn", s, {region("out", out, Access::write)}, p, barrier_first);
    for (unsigned block = 0; block < 12; ++block) {
      const unsigned from = block / 4 * 4 + (block + 3) % 4;
      REQUIRE(std::count(out.begin() + block * 40, out.begin() + (block + 1) * 40,
                         100 * from + from % 4) == 40);
    }
  }
  // A CTA need not have begun before the first barrier.
  barrier_first = 0;
  const auto early = internal_error([&] {
    kernels().launch("cluster_turn", s, {region("out", out, Access::write)}, p, barrier_first);
  });
  CHECK_CONTAINS(early, "may not have begun or has exited");
  barrier_first = 1;
  s.dynamic_shared_bytes = 4;
  const auto beyond = internal_error([&] {
    kernels().launch("cluster_turn", s, {region("out", out, Access::write)}, p, barrier_first);
  });
  CHECK_CONTAINS(beyond, "stores to offset 4 of CTA");
  s.cluster = 5;
  const auto uneven = internal_error([&] {
    kernels().launch("cluster_turn", s, {region("out", out, Access::write)}, p, barrier_first);
  });
  CHECK_CONTAINS(uneven, "whole clusters");
}

TEST_CASE("dynamic shared memory has the size of the launch", "[host]") {
  std::vector<int> data(48);
  std::iota(data.begin(), data.end(), 0);
  int* p = data.data();
  kernels().launch("dynamic_reverse", shape(1, 48, 48 * 4), {region("data", data)}, p);
  for (int i = 0; i < 48; ++i) {
    REQUIRE(data[static_cast<std::size_t>(i)] == 47 - i);
  }
  const auto message = internal_error([&] {
    kernels().launch("dynamic_reverse", shape(1, 48, 40 * 4), {region("data", data)}, p);
  });
  CHECK_CONTAINS(message, "thread (40,0,0)");
  CHECK_CONTAINS(message, "offset 160 of dynamic shared memory, which has 160 bytes");
}

TEST_CASE("atomics of blocks on several OS threads lose nothing", "[host]") {
  std::vector<int> i(2);
  std::vector<unsigned> u(2);
  std::vector<unsigned long long> l(1);
  std::vector<float> f(2);
  int* pi = i.data();
  unsigned* pu = u.data();
  unsigned long long* pl = l.data();
  float* pf = f.data();
  kernels().launch("atomics", shape(50, 64),
                   {region("i", i), region("u", u), region("l", l), region("f", f)}, pi, pu, pl,
                   pf);
  CHECK(i == std::vector<int>{3200, 3199});
  CHECK(u == std::vector<unsigned>{6400, 3199});
  CHECK(l[0] == 3200ULL << 33);
  CHECK(f == std::vector<float>{1600.0F, 3199.0F});
}

TEST_CASE("keywords and parameters by value", "[host]") {
  struct alignas(16) Parameters {
    int* out;
    int n;
  };
  std::vector<int> out(32);
  const Parameters p{out.data(), 7};
  kernels().launch("constants_and_attributes", shape(1, 32), {}, p);
  for (int t = 0; t < 32; ++t) {
    REQUIRE(out[static_cast<std::size_t>(t)] == 2 * (t % 4 + 1) * 3 + 7);
  }
}

TEST_CASE("a large block with many barriers is quick", "[host]") {
  std::vector<int> out(1024);
  int* p = out.data();
  const int rounds = 100;
  const auto start = std::chrono::steady_clock::now();
  kernels().launch("many_barriers", shape(1, 1024), {region("out", out)}, p, rounds);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  for (const int sum : out) {
    REQUIRE(sum == 99 * 100 / 2);
  }
  // 10 ms with fcontext; the bound leaves room for sanitizers and a busy machine.
  CHECK(elapsed.count() < 20.0);
}

TEST_CASE("launches run at the same time", "[host]") {
  kernels();
  std::vector<std::vector<int>> results(4, std::vector<int>(64));
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&result] {
      int* p = result.data();
      const int rounds = 20;
      for (int repeat = 0; repeat < 5; ++repeat) {
        kernels().launch("many_barriers", shape(1, 64), {region("out", result)}, p, rounds);
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  for (const auto& result : results) {
    CHECK(result == std::vector<int>(64, 190));
  }
}

TEST_CASE("an empty launch runs nothing and an impossible one is refused", "[host]") {
  std::vector<int> out(1024, -1);
  int* p = out.data();
  const int rounds = 1;
  LaunchShape nothing = shape(1, 32);
  nothing.empty = true;
  kernels().launch("many_barriers", nothing, {region("out", out)}, p, rounds);
  CHECK(out == std::vector<int>(1024, -1));
  const auto message = internal_error(
      [&] { kernels().launch("many_barriers", shape(1, 1025), {region("out", out)}, p, rounds); });
  CHECK_CONTAINS(message, "block (1025,1,1)");
  CHECK_CONTAINS(internal_error([&] {
                   kernels().launch("many_barriers", shape(1, 32), {region("out", out)}, p);
                 }),
                 "1 arguments for 2 parameters");
}

}  // namespace fourge::tests
