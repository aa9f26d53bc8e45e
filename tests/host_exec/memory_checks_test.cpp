#include <cstdint>

#include "tests/host_exec/host_test.hpp"

namespace fourge::tests {

namespace {

Kernels& kernels() {
  static Kernels instance({
      // One access by one thread, at a byte offset from the pointer.
      kernel_source("read_at", R"(
extern "C" __global__ void read_at(const char* p, long long offset, int* sink) {
  if (blockIdx.x == 2 && threadIdx.x == 33) {
    store(sink, load(reinterpret_cast<const int*>(p + offset)));
  }
})"),
      kernel_source("write_at", R"(
extern "C" __global__ void write_at(char* p, long long offset) {
  if (blockIdx.x == 2 && threadIdx.x == 33) {
    store(reinterpret_cast<int*>(p + offset), 1);
  }
})"),
      kernel_source("atomic_at", R"(
extern "C" __global__ void atomic_at(int* p) { atomicAdd(p, 1); })"),
      kernel_source("shared_unwritten", R"(
extern "C" __global__ void shared_unwritten(int* out, int skipped) {
  __shared__ int slots[64];
  if (static_cast<int>(threadIdx.x) != skipped) {
    store_shared(&slots[threadIdx.x], 1);
  }
  __syncthreads();
  store(&out[threadIdx.x], load_shared(&slots[threadIdx.x]));
})"),
      kernel_source("shared_race", R"(
extern "C" __global__ void shared_race(int* out, int synchronise) {
  __shared__ int slots[64];
  store_shared(&slots[threadIdx.x], 1);
  if (synchronise) {
    __syncthreads();
  }
  const int v = threadIdx.x == 40 ? load_shared(&slots[3]) : 0;
  store(&out[threadIdx.x], v);
})"),
      kernel_source("shared_overwrite", R"(
extern "C" __global__ void shared_overwrite(int* out) {
  __shared__ int slot;
  if (threadIdx.x % 32 == 0) {
    store_shared(&slot, 1);
  }
  store(&out[threadIdx.x], 0);
})"),
      kernel_source("shared_write_after_read", R"(
extern "C" __global__ void shared_write_after_read(int* out) {
  __shared__ int slot;
  if (threadIdx.x == 0) {
    store_shared(&slot, 1);
  }
  __syncthreads();
  const int v = load_shared(&slot);
  if (threadIdx.x == 0) {
    store_shared(&slot, 2);
  }
  store(&out[threadIdx.x], v);
})"),
      kernel_source("shared_of_buffer", R"(
extern "C" __global__ void shared_of_buffer(int* out) { load_shared(out); })"),
      kernel_source("fill", R"(
extern "C" __global__ void fill(int* out) {
  store(&out[blockIdx.x * blockDim.x + threadIdx.x], 7);
})"),
      kernel_source("failing_blocks", R"(
extern "C" __global__ void failing_blocks(int first) {
  if (static_cast<int>(blockIdx.x) >= first && threadIdx.x == blockIdx.x % 7) {
    __trap();
  }
})"),
  });
  return instance;
}

struct Buffers {
  std::vector<int> data = std::vector<int>(16);
  std::vector<int> sink = std::vector<int>(1);
};

std::string read_error(long long offset, Access access = Access::read) {
  Buffers b;
  const auto* p = reinterpret_cast<const char*>(b.data.data());
  int* sink = b.sink.data();
  return internal_error([&] {
    kernels().launch("read_at", shape(4, 64),
                     {region("data", b.data, access), region("sink", b.sink)}, p, offset, sink);
  });
}

std::string write_error(long long offset, Access access = Access::write) {
  Buffers b;
  auto* p = reinterpret_cast<char*>(b.data.data());
  auto message = internal_error([&] {
    kernels().launch("write_at", shape(4, 64), {region("data", b.data, access)}, p, offset);
  });
  CHECK(b.data == std::vector<int>(16));  // the access did not happen
  return message;
}

std::string message_of(const char* entry) {
  std::vector<int> out(64);
  int* p = out.data();
  return internal_error([&] { kernels().launch(entry, shape(1, 64), {region("out", out)}, p); });
}

}  // namespace

TEST_CASE("accesses at both ends of a buffer are allowed", "[host]") {
  Buffers b;
  b.data.back() = 5;
  const auto* p = reinterpret_cast<const char*>(b.data.data());
  int* sink = b.sink.data();
  long long offset = 60;
  kernels().launch("read_at", shape(4, 64),
                   {region("data", b.data, Access::read), region("sink", b.sink)}, p, offset, sink);
  CHECK(b.sink[0] == 5);
  offset = 0;
  auto* writable = reinterpret_cast<char*>(b.data.data());
  kernels().launch("write_at", shape(4, 64), {region("data", b.data)}, writable, offset);
  CHECK(b.data[0] == 1);
}

TEST_CASE("accesses beyond a buffer name thread, buffer and distance", "[host]") {
  const auto after = read_error(64);
  CHECK_CONTAINS(after, "host execution of read_at: block (2,0,0), thread (33,0,0): ");
  CHECK_CONTAINS(after,
                 "load of 4 bytes out of bounds: begins 0 bytes after the end of buffer 'data'");
  CHECK_CONTAINS(after, "64 bytes");
  CHECK_CONTAINS(read_error(-4), "begins 4 bytes before the start of buffer 'data'");
  CHECK_CONTAINS(read_error(62), "at offset 62 runs 2 bytes past the end of buffer 'data'");
  CHECK_CONTAINS(read_error(-2), "begins 2 bytes before the start of buffer 'data'");

  CHECK_CONTAINS(write_error(64), "thread (33,0,0): store of 4 bytes out of bounds");
  CHECK_CONTAINS(write_error(-4), "begins 4 bytes before the start of buffer 'data'");
  CHECK_CONTAINS(write_error(63), "runs 3 bytes past the end");
}

TEST_CASE("misaligned accesses are reported", "[host]") {
  CHECK_CONTAINS(read_error(6), "misaligned load of 4 bytes at offset 6 of buffer 'data'");
  CHECK_CONTAINS(write_error(1), "misaligned store of 4 bytes at offset 1 of buffer 'data'");
}

TEST_CASE("a buffer is only accessed as its operation declares", "[host]") {
  CHECK_CONTAINS(write_error(8, Access::read),
                 "store of 4 bytes at offset 8 of buffer 'data' (64 bytes), which is read-only");
  CHECK_CONTAINS(read_error(8, Access::write), "which is write-only");

  std::vector<int> data(4);
  int* p = data.data();
  for (const Access access : {Access::read, Access::write}) {
    CHECK_CONTAINS(internal_error([&] {
                     kernels().launch("atomic_at", shape(1, 1), {region("data", data, access)}, p);
                   }),
                   "atomic update of 4 bytes at offset 0 of buffer 'data'");
  }
}

TEST_CASE("memory that the launch did not declare is out of bounds", "[host]") {
  Buffers b;
  int* sink = b.sink.data();
  const auto* p = reinterpret_cast<const char*>(b.data.data());
  const long long offset = 0;
  CHECK_CONTAINS(internal_error([&] {
                   kernels().launch("read_at", shape(4, 64), {region("sink", b.sink)}, p, offset,
                                    sink);
                 }),
                 "buffer 'sink' (4 bytes, read-write), the nearest");
  CHECK_CONTAINS(
      internal_error([&] { kernels().launch("read_at", shape(4, 64), {}, p, offset, sink); }),
      "the launch declared no buffers");
  CHECK_CONTAINS(internal_error([&] { kernels().launch("atomic_at", shape(1, 1), {}, sink); }),
                 "or shared memory that no thread of the block wrote");
}

TEST_CASE("overlapping regions allow what either allows", "[host]") {
  std::vector<int> data(64);
  int* p = data.data();
  kernels().launch("fill", shape(2, 32),
                   {region("input", data, Access::read), region("output", data, Access::write)}, p);
  CHECK(data == std::vector<int>(64, 7));
}

TEST_CASE("a read of shared memory that nothing wrote names the thread", "[host]") {
  std::vector<int> out(64);
  int* p = out.data();
  int skipped = -1;
  kernels().launch("shared_unwritten", shape(3, 64), {region("out", out)}, p, skipped);
  skipped = 21;
  // What an earlier block wrote does not count.
  const auto message = internal_error([&] {
    kernels().launch("shared_unwritten", shape(1, 64), {region("out", out)}, p, skipped);
  });
  CHECK_CONTAINS(message, "block (0,0,0), thread (21,0,0): reads 4 bytes of shared memory");
  CHECK_CONTAINS(message, "byte 0 was not written by any thread of the block");
}

TEST_CASE("unordered accesses to shared memory are reported", "[host]") {
  std::vector<int> out(64);
  int* p = out.data();
  int synchronise = 1;
  kernels().launch("shared_race", shape(1, 64), {region("out", out)}, p, synchronise);
  CHECK(out[40] == 1);
  synchronise = 0;
  const auto message = internal_error(
      [&] { kernels().launch("shared_race", shape(1, 64), {region("out", out)}, p, synchronise); });
  CHECK_CONTAINS(message, "thread (40,0,0): reads 4 bytes of shared memory");
  CHECK_CONTAINS(message, "was written by thread (3,0,0) with no barrier between");

  CHECK_CONTAINS(message_of("shared_overwrite"),
                 "thread (32,0,0): writes 4 bytes of shared memory");
  const auto after_read = message_of("shared_write_after_read");
  CHECK_CONTAINS(after_read, "thread (0,0,0): writes 4 bytes of shared memory");
  CHECK_CONTAINS(after_read, "was read by thread (63,0,0) with no barrier between");
  CHECK_CONTAINS(message_of("shared_of_buffer"), "an address of buffer 'out', which is global");
}

TEST_CASE("the first failing block is reported, and the next launch works", "[host]") {
  for (int repeat = 0; repeat < 20; ++repeat) {
    const int first = 3 + repeat;
    const auto message =
        internal_error([&] { kernels().launch("failing_blocks", shape(64, 8), {}, first); });
    CHECK_CONTAINS(message, "block (" + std::to_string(first) + ",0,0), thread (" +
                                std::to_string(first % 7) + ",0,0): executed __trap()");
    std::vector<int> out(64);
    int* p = out.data();
    kernels().launch("fill", shape(2, 32), {region("out", out)}, p);
    REQUIRE(out == std::vector<int>(64, 7));
  }
}

}  // namespace fourge::tests
