// The driver layer against a make-believe libcuda: what a launch hands over and allocates, and
// owners of device things.
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "tests/gpu/driver_probe.hpp"

namespace {
thread_local std::size_t allocations = 0;
}

// Counts what the calling thread allocates. Not inlined: where only one of new and delete is, g++ 12
// takes the pair for mismatched.
#define FOURGE_NOINLINE __attribute__((noinline))
FOURGE_NOINLINE void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
FOURGE_NOINLINE void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
FOURGE_NOINLINE void operator delete(void* memory) noexcept { std::free(memory); }
FOURGE_NOINLINE void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
FOURGE_NOINLINE void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}

#if defined(__SANITIZE_ADDRESS__)
// Where a launch's values lie is what a test asks. From g++ 13 on frames lie on the heap by default, to be told from
// those of functions that returned.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
  return "detect_stack_use_after_return=0";
}
#endif

namespace fourge::tests {
namespace {

bool on_this_stack(const void* address) {
  pthread_attr_t attributes;
  pthread_getattr_np(pthread_self(), &attributes);
  void* base = nullptr;
  std::size_t size = 0;
  pthread_attr_getstack(&attributes, &base, &size);
  pthread_attr_destroy(&attributes);
  const auto* low = static_cast<const char*>(base);
  const auto* at = static_cast<const char*>(address);
  return std::greater_equal<>()(at, low) && std::less<>()(at, low + size);
}

}  // namespace

TEST_CASE("a launch hands over the caller's values, stream and context", "[driver]") {
  FakeCuda& fake = reset_fake();
  fake.devices[1].multiprocessors = 77;
  const DeviceContext first(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto state = load_probe();
  const Kernel kernel(*state);
  CHECK(&kernel.spec() == &state->spec);
  const DeviceContext second(1, ContextKind::separate, FOURGE_FAKE_CUDA);
  const std::size_t before = fake.call_count;

  int target = 0;
  auto* const stream = reinterpret_cast<CUstream_st*>(&target);
  const ProbeArgs args{&target, 2.5F, 41};
  const std::size_t allocated = allocations;
  kernel.launch(args, stream);
  kernel.launch(args, nullptr, {true});
  CHECK(allocations == allocated);

  REQUIRE(fake.launch_count == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& launch = fake.launches[i];
    CHECK(launch.function == reinterpret_cast<CUfunction>(state->kernel));
    CHECK(launch.config.gridDimX == 41);
    CHECK(launch.config.gridDimY == 77);  // of device 1, not of device 0
    CHECK(launch.config.gridDimZ == 3);
    CHECK(launch.config.blockDimX == 96);
    CHECK(launch.config.blockDimY == 2);
    CHECK(launch.config.blockDimZ == 1);
    CHECK(launch.config.sharedMemBytes == 80);
    const void* pointer = nullptr;
    float factor = 0;
    std::int64_t count = 0;
    std::memcpy(&pointer, launch.values[0].data(), 8);
    std::memcpy(&factor, launch.values[1].data(), 4);
    std::memcpy(&count, launch.values[2].data(), 8);
    CHECK(pointer == &target);
    CHECK(factor == 2.5F);
    CHECK(count == 41);
    CHECK(on_this_stack(launch.params));
    CHECK(launch.param_bytes == 24);  // of the struct, whose last parameter ends it
  }
  CHECK(fake.launches[0].config.hStream == stream);
  CHECK(fake.launches[0].config.numAttrs == 0);
  CHECK(fake.launches[1].config.hStream == nullptr);
  REQUIRE(fake.launches[1].config.numAttrs == 1);
  CHECK(on_this_stack(fake.launches[1].config.attrs));
  CHECK(fake.launches[1].attributes[0].id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
  CHECK(fake.launches[1].attributes[0].value.programmaticStreamSerializationAllowed == 1);
  // Nothing else was asked of the driver: the device, since they differ, the context, and go.
  CHECK(fake.call_count == before + 6);
}

TEST_CASE("a launch takes the function of the context that it was loaded in, and of no other",
          "[driver]") {
  FakeCuda& fake = reset_fake();
  const DeviceContext first(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto state = load_probe();
  const Kernel kernel(*state);
  CUfunction function = nullptr;
  REQUIRE(state->driver->cuKernelGetFunction(&function, state->kernel) == CUDA_SUCCESS);
  const auto any = reinterpret_cast<CUfunction>(state->kernel);
  REQUIRE(function != any);
  const ProbeArgs args{nullptr, 0, 1};
  kernel.launch(args, nullptr);
  {
    const DeviceContext second(0, ContextKind::separate, FOURGE_FAKE_CUDA);
    kernel.launch(args, nullptr);
  }
  kernel.launch(args, nullptr);
  // Reset: the same context by its address, with another number.
  for (auto& id : fake.context_ids) id += 1000;
  kernel.launch(args, nullptr);
  REQUIRE(fake.launch_count == 4);
  CHECK(fake.launches[0].function == function);
  CHECK(fake.launches[1].function == any);
  CHECK(fake.launches[2].function == function);
  CHECK(fake.launches[3].function == any);
}

TEST_CASE("a launch in clusters says so, beside a dependent launch", "[driver]") {
  FakeCuda& fake = reset_fake();
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto state = load_probe();
  const Kernel kernel(*state);
  const ProbeArgs args{nullptr, 0, 44};
  LaunchOptions options;
  options.programmatic_dependent_launch = true;
  kernel.launch(args, nullptr);
  kernel.launch(args, nullptr, options);
  for (std::size_t i = 0; i < 2; ++i) {
    const FakeLaunch& launch = fake.launches[i];
    REQUIRE(launch.config.numAttrs == 1 + i);
    CHECK(launch.attributes[i].id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
    CHECK(launch.attributes[i].value.clusterDim.x == 4);
    CHECK(launch.attributes[i].value.clusterDim.y == 1);
    CHECK(launch.attributes[i].value.clusterDim.z == 1);
  }
  CHECK(fake.launches[1].attributes[0].id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
}

TEST_CASE("nothing to do launches nothing", "[driver]") {
  FakeCuda& fake = reset_fake();
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto state = load_probe();
  Kernel(*state).launch(ProbeArgs{nullptr, 0, 0}, nullptr);
  CHECK(fake.launch_count == 0);
}

TEST_CASE("a launch that cannot be is refused by name", "[driver]") {
  FakeCuda& fake = reset_fake();
  fake.devices[1].major = 10;
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto state = load_probe();
  const Kernel kernel(*state);
  const ProbeArgs args{nullptr, 1, 1};
  const auto launch_args = [&](std::string_view op, const void* pointer, std::size_t size) {
    return failure_of([&] { kernel.launch_args(op, pointer, size, nullptr); });
  };
  CHECK(launch_args("nvfp4_quantize", &args, sizeof(args)).says("arguments of nvfp4_quantize"));
  CHECK(launch_args("probe", &args, 16).says("16 bytes"));
  CHECK(launch_args("probe", nullptr, sizeof(args)).kind == ErrorKind::invalid_argument);
  CHECK(failure_of([&] {
          kernel.launch(ProbeArgs{nullptr, 1, -1}, nullptr);
        }).text == "count is negative");

  fake.failing = "cuLaunchKernelEx";
  fake.failure = CUDA_ERROR_INVALID_IMAGE;
  const auto refused = failure_of([&] { kernel.launch(args, nullptr); });
  CHECK(refused.status == CUDA_ERROR_INVALID_IMAGE);
  CHECK(refused.says(state->text));
  fake.failing = "";
  {
    const DeviceContext other(1, ContextKind::primary, FOURGE_FAKE_CUDA);
    const auto wrong = failure_of([&] { kernel.launch(args, nullptr); });
    CHECK(wrong.kind == ErrorKind::unsupported);
    CHECK(wrong.says("target sm_90a does not run on device 1"));
    CHECK(wrong.says("10.0"));
  }
  Failure homeless;
  std::thread([&] { homeless = failure_of([&] { kernel.launch(args, nullptr); }); }).join();
  CHECK(homeless.kind == ErrorKind::unsupported);
  CHECK(homeless.says("no current CUDA context"));
  CHECK(fake.launch_count == 0);
}

TEST_CASE("programmatic dependent launch needs a target with it", "[driver]") {
  FakeCuda& fake = reset_fake();
  fake.devices[0].major = 8;
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto state = load_probe("sm_80", 80);
  const Kernel kernel(*state);
  const ProbeArgs args{nullptr, 1, 1};
  const auto failure = failure_of([&] { kernel.launch(args, nullptr, {true}); });
  CHECK(failure.kind == ErrorKind::unsupported);
  CHECK(failure.says("sm_80"));
  kernel.launch(args, nullptr);
  CHECK(fake.launch_count == 1);
}

TEST_CASE("threads launch through one handle", "[driver]") {
  FakeCuda& fake = reset_fake();
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto state = load_probe();
  const Kernel kernel(*state);
  std::vector<std::thread> threads;
  std::atomic<int> stray{0};
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&] {
      const CurrentContext current(context);
      const std::size_t allocated = allocations;
      for (int i = 0; i < 100; ++i) kernel.launch(ProbeArgs{nullptr, 1, 1}, nullptr);
      if (allocations != allocated) ++stray;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(fake.launch_count == 800);
  CHECK(stray == 0);
}

TEST_CASE("device objects give back what they took", "[driver]") {
  FakeCuda& fake = reset_fake();
  CHECK(failure_of([] {
          DeviceContext(2, ContextKind::primary, FOURGE_FAKE_CUDA);
        }).says("device 2 was asked for; this machine has 2"));
  {
    std::unique_ptr<DeviceBuffer> buffer;
    {
      const DeviceContext context(1, ContextKind::primary, FOURGE_FAKE_CUDA);
      const Stream stream(context);
      Event event(context);
      event.record(stream.get());
      buffer = std::make_unique<DeviceBuffer>(context, 64);
      DeviceBuffer moved(std::move(*buffer));
      buffer = std::make_unique<DeviceBuffer>(std::move(moved));
      int value = 0;
      buffer->upload(&value, 4, stream.get(), 60);
      CHECK(failure_of([&] { buffer->upload(&value, 4, stream.get(), 61); }).kind ==
            ErrorKind::invalid_argument);
      CHECK(failure_of([&] { buffer->download(&value, 65, stream.get()); }).kind ==
            ErrorKind::invalid_argument);
      const Graph graph(context, stream, [] {});
      graph.launch(stream.get());
      CHECK(failure_of([&] {
              const Graph bad(context, stream,
                              [] { throw Error(ErrorKind::internal, "in capture"); });
            }).text == "in capture");
      CHECK(fake.count("cuStreamBeginCapture") == 2);
      CHECK(fake.count("cuStreamEndCapture") == 2);
      CHECK(fake.count("cuGraphUpload") == 1);
      CHECK(fake.count("cuGraphExecDestroy") == 0);
      fake.failing = "cuGraphUpload";
      CHECK(failure_of([&] { const Graph bad(context, stream, [] {}); }).says("cuGraphUpload"));
      fake.failing = "";
      CHECK(fake.count("cuGraphExecDestroy") == 1);
    }
    CHECK(fake.count("cuGraphExecDestroy") == 2);
    CHECK(fake.primary_retains == 1);  // the buffer's
  }
  CHECK(fake.primary_retains == 0);
  CHECK(fake.count("cuMemAlloc") == 1);
  CHECK(fake.count("cuStreamCreate") == fake.count("cuStreamDestroy"));
  CHECK(fake.count("cuEventCreate") == fake.count("cuEventDestroy"));
  CHECK(fake.count("cuCtxPushCurrent") == fake.count("cuCtxPopCurrent"));
  {
    const DeviceContext separate(0, ContextKind::separate, FOURGE_FAKE_CUDA);
    CHECK(fake.count("cuCtxDestroy") == 0);
  }
  CHECK(fake.count("cuCtxDestroy") == 1);
}

}  // namespace fourge::tests
