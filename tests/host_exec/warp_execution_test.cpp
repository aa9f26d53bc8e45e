#include <cstdint>

#include "tests/host_exec/host_test.hpp"

namespace fourge::tests {

namespace {

Kernels& kernels() {
  static Kernels instance({
      kernel_source("warp_sum", R"(
extern "C" __global__ void warp_sum(const float* x, float* sums) {
  float v = load(&x[threadIdx.x]);
  for (int offset = 16; offset != 0; offset /= 2) {
    v += __shfl_xor_sync(0xFFFFFFFFu, v, offset);
  }
  if (threadIdx.x % warpSize == 0) {
    store(&sums[threadIdx.x / warpSize], v);
  }
})"),
      kernel_source("shuffles", R"(
extern "C" __global__ void shuffles(long long* out, int width) {
  const int t = static_cast<int>(threadIdx.x);
  const unsigned all = 0xFFFFFFFFu;
  store(&out[t * 4 + 0], static_cast<long long>(__shfl_sync(all, t, 5, width)));
  store(&out[t * 4 + 1], __shfl_up_sync(all, (1LL << 40) + t, 3, width) - (1LL << 40));
  store(&out[t * 4 + 2], static_cast<long long>(__shfl_down_sync(all, 1ull * t, 2, width)));
  store(&out[t * 4 + 3], static_cast<long long>(__shfl_xor_sync(all, 1u * t, 1, width)));
})"),
      kernel_source("votes", R"(
extern "C" __global__ void votes(unsigned* out, int threads) {
  const unsigned lane = threadIdx.x % 32;
  const unsigned left = threads - threadIdx.x / 32 * 32;
  const unsigned mask = left >= 32 ? 0xFFFFFFFFu : (1u << left) - 1;
  unsigned* const p = out + threadIdx.x * 6;
  store(p, __ballot_sync(mask, lane % 3 == 0));
  store(p + 1, static_cast<unsigned>(__any_sync(mask, lane == 7)));
  store(p + 2, static_cast<unsigned>(__all_sync(mask, lane < 7)));
  store(p + 3, __activemask());
  store(p + 4, __match_any_sync(mask, lane / 4));
  __syncwarp(mask);
  store(p + 5, static_cast<unsigned>(__all_sync(mask, 1)));
})"),
      kernel_source("half_warps", R"(
extern "C" __global__ void half_warps(unsigned* out) {
  const unsigned lane = threadIdx.x % 32;
  unsigned result;
  if (lane < 16) {
    result = __shfl_xor_sync(0x0000FFFFu, lane, 1);
    result += 100 * __ballot_sync(0x0000FFFFu, lane == 0);
  } else {
    result = __ballot_sync(0xFFFF0000u, lane == 31) >> 31;
  }
  __syncwarp();
  store(&out[threadIdx.x], result);
})"),
      kernel_source("leavers", R"(
extern "C" __global__ void leavers(unsigned* out) {
  if (threadIdx.x >= 20) {
    return;
  }
  const unsigned ballot = __ballot_sync(0xFFFFFFFFu, 1);
  store(&out[threadIdx.x], ballot);
})"),
      kernel_source("beyond_end", R"(
extern "C" __global__ void beyond_end(int* out) {
  store(&out[threadIdx.x], __shfl_down_sync(0xFFFFFFFFu, 1, 1));
})"),
      kernel_source("warp_exchange", R"(
extern "C" __global__ void warp_exchange(int* out, int synchronise) {
  __shared__ int slots[64];
  const unsigned first = threadIdx.x / 32 * 32;
  for (int round = 0; round < 3; ++round) {
    store_shared(&slots[threadIdx.x], static_cast<int>(threadIdx.x) + round);
    if (synchronise != 0) {
      __syncwarp();
    }
    const int v = load_shared(&slots[first + (threadIdx.x + 1) % 32]);
    store(&out[threadIdx.x], v);
    if (synchronise == 1) {
      __syncwarp();
    }
  }
})"),
  });
  return instance;
}

std::vector<long long> shuffle_results(int width) {
  std::vector<long long> out(32 * 4);
  long long* p = out.data();
  kernels().launch("shuffles", shape(1, 32), {region("out", out)}, p, width);
  return out;
}

void check_votes(std::uint32_t threads) {
  std::vector<unsigned> out(threads * 6);
  unsigned* p = out.data();
  const int count = static_cast<int>(threads);
  kernels().launch("votes", shape(1, threads), {region("out", out)}, p, count);
  for (unsigned t = 0; t < threads; ++t) {
    const unsigned left = threads - t / 32 * 32;
    const unsigned mask = left >= 32 ? 0xFFFFFFFFU : (1U << left) - 1;
    INFO(threads << " threads, thread " << t);
    CHECK(out[t * 6] == (0x49249249U & mask));
    CHECK(out[t * 6 + 1] == (left > 7 ? 1U : 0U));
    CHECK(out[t * 6 + 2] == (left <= 7 ? 1U : 0U));
    // Lanes do not exit before the last vote, so all are active.
    CHECK(out[t * 6 + 3] == mask);
    CHECK(out[t * 6 + 4] == (0xFU << (t % 32 / 4 * 4) & mask));
    CHECK(out[t * 6 + 5] == 1U);
  }
}

}  // namespace

TEST_CASE("a full warp reduces by shuffles", "[host]") {
  std::vector<float> x(96);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i);
  }
  std::vector<float> sums(3);
  const float* px = x.data();
  float* psums = sums.data();
  kernels().launch("warp_sum", shape(1, 96), {region("x", x, Access::read), region("sums", sums)},
                   px, psums);
  CHECK(sums == std::vector<float>{496.0F, 1520.0F, 2544.0F});
}

TEST_CASE("shuffles read the lane CUDA names, for each width", "[host]") {
  for (const int width : {32, 16, 8, 4, 2, 1}) {
    const auto out = shuffle_results(width);
    for (int t = 0; t < 32; ++t) {
      INFO("width " << width << " lane " << t);
      const int first = t / width * width;
      const auto* const found = &out[static_cast<std::size_t>(t) * 4];
      CHECK(found[0] == first + 5 % width);
      CHECK(found[1] == (t - 3 >= first ? t - 3 : t));
      CHECK(found[2] == (t + 2 < first + width ? t + 2 : t));
      // A lane beyond the segment is not read, one before it is.
      CHECK(found[3] == ((t ^ 1) < first + width ? (t ^ 1) : t));
    }
  }
  CHECK_CONTAINS(internal_error([] { shuffle_results(12); }), "a shuffle of width 12");
}

TEST_CASE("votes over full, partial and several warps", "[host]") {
  check_votes(32);
  check_votes(5);
  check_votes(64);
  check_votes(72);
}

TEST_CASE("halves of a warp work apart and meet again", "[host]") {
  std::vector<unsigned> out(64);
  unsigned* p = out.data();
  kernels().launch("half_warps", shape(1, 64), {region("out", out)}, p);
  for (unsigned t = 0; t < 64; ++t) {
    const unsigned lane = t % 32;
    CHECK(out[t] == (lane < 16 ? (lane ^ 1U) + 100U : 1U));
  }
}

TEST_CASE("lanes that have exited are not waited for", "[host]") {
  std::vector<unsigned> out(20);
  unsigned* p = out.data();
  kernels().launch("leavers", shape(1, 32), {region("out", out)}, p);
  CHECK(out == std::vector<unsigned>(20, 0xFFFFFU));
}

TEST_CASE("a shuffle from a lane that is not there is reported", "[host]") {
  std::vector<int> out(64);
  int* p = out.data();
  kernels().launch("beyond_end", shape(1, 64), {region("out", out)}, p);
  CHECK(out == std::vector<int>(64, 1));
  const auto message = internal_error(
      [&] { kernels().launch("beyond_end", shape(1, 40), {region("out", out)}, p); });
  CHECK_CONTAINS(message, "beyond_end");
  CHECK_CONTAINS(message, "thread (39,0,0)");
  CHECK_CONTAINS(message, "__shfl_down_sync reads lane 8, which is beyond the end of the block");
}

TEST_CASE("__syncwarp orders shared memory within a warp", "[host]") {
  std::vector<int> out(64);
  int* p = out.data();
  int synchronise = 1;
  kernels().launch("warp_exchange", shape(1, 64), {region("out", out)}, p, synchronise);
  for (unsigned t = 0; t < 64; ++t) {
    CHECK(out[t] == static_cast<int>(t / 32 * 32 + (t + 1) % 32) + 2);
  }
  synchronise = 0;
  CHECK_CONTAINS(internal_error([&] {
                   kernels().launch("warp_exchange", shape(1, 64), {region("out", out)}, p,
                                    synchronise);
                 }),
                 "was not written by any thread of the block");
  synchronise = 2;  // the next round's write follows the neighbour's read unordered
  CHECK_CONTAINS(internal_error([&] {
                   kernels().launch("warp_exchange", shape(1, 64), {region("out", out)}, p,
                                    synchronise);
                 }),
                 "with no barrier between");
}

}  // namespace fourge::tests
