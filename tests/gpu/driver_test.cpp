// The driver layer against a make-believe libcuda (fake_cuda.hpp): loading, refusals, what a launch
// hands over. Needs no GPU and no NVRTC.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fourge/device.hpp>
#include <fourge/error.hpp>
#include <fourge/kernel.hpp>
#include <functional>
#include <new>
#include <string>
#include <thread>

#include "runtime/driver/kernel_state.hpp"
#include "tests/gpu/cubin_builder.hpp"
#include "tests/gpu/fake_cuda.hpp"
#include "tests/support/catch.hpp"

namespace {
thread_local std::size_t allocations = 0;
}

// Counts what the calling thread allocates.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace fourge {
namespace {

using detail::KernelState;
using detail::load_kernel;
using tests::build_cubin;
using tests::BuiltCubin;
using tests::FakeCuda;

struct ProbeArgs {
  static constexpr std::string_view kOp = "probe";
  const void* pointer = nullptr;
  float factor = 0;
  std::int64_t count = 0;
};

constexpr Param kParams[] = {{"pointer", "const void*", offsetof(ProbeArgs, pointer), 8},
                             {"factor", "float", offsetof(ProbeArgs, factor), 4},
                             {"count", "long long", offsetof(ProbeArgs, count), 8}};

void check_args(const KernelSpec&, const void* args) {
  if (static_cast<const ProbeArgs*>(args)->count < 0) {
    throw Error(ErrorKind::invalid_argument, "count is negative");
  }
}

LaunchShape launch_shape(const KernelSpec&, const void* args, const DeviceFacts& device) {
  const auto count = static_cast<const ProbeArgs*>(args)->count;
  LaunchShape shape;
  shape.empty = count == 0;
  shape.grid[0] = static_cast<std::uint32_t>(count);
  shape.grid[1] = static_cast<std::uint32_t>(device.multiprocessors);
  shape.grid[2] = 3;
  shape.block[0] = 96;
  shape.block[1] = 2;
  shape.dynamic_shared_bytes = 80;
  return shape;
}

const OpDefinition& probe_op() {
  static const OpDefinition op{
      "probe",           "",      {},      "",         "",           kParams,
      sizeof(ProbeArgs), nullptr, nullptr, check_args, launch_shape, nullptr};
  return op;
}

// What an entry of the probe op looks like to the cubin reader.
BuiltCubin probe_cubin(const std::string& target = "sm_90a", std::uint32_t number = 90) {
  BuiltCubin cubin;
  cubin.target = target;
  cubin.number = number;
  cubin.params = {{0, 8}, {8, 4}, {16, 8}};
  return cubin;
}

// The fake, as after loading it anew.
FakeCuda& reset_fake() {
  static FakeCuda* fake = [] {
    void* library = dlopen(FOURGE_FAKE_CUDA, RTLD_NOW);
    REQUIRE(library != nullptr);
    using Getter = FakeCuda* (*)();
    return reinterpret_cast<Getter>(dlsym(library, "fake_cuda"))();
  }();
  fake->~FakeCuda();
  new (fake) FakeCuda;
  fake->params = {{{0, 8}, {8, 4}, {16, 8}}};
  fake->param_count = 3;
  return *fake;
}

struct Failure {
  bool thrown = false;
  ErrorKind kind = ErrorKind::internal;
  int status = 0;
  std::string text;
  bool says(const std::string& part) const { return text.find(part) != std::string::npos; }
};

Failure failure_of(const std::function<void()>& body) {
  Failure failure;
  try {
    body();
  } catch (const Error& error) {
    failure = {true, error.kind(), 0, error.what()};
    if (const auto* driver = dynamic_cast<const DriverError*>(&error)) {
      failure.status = driver->status();
    }
  }
  return failure;
}

std::unique_ptr<KernelState> load_probe(const std::string& target = "sm_90a",
                                        std::uint32_t number = 90) {
  return load_kernel(Driver::load(FOURGE_FAKE_CUDA), {probe_op(), Target::parse(target)}, "k",
                     build_cubin(probe_cubin(target, number)));
}

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

TEST_CASE("without a driver the error says what to do", "[driver]") {
  const auto failure = failure_of([] { Driver::load("/nowhere/libcuda.so.1"); });
  CHECK(failure.kind == ErrorKind::library_missing);
  CHECK(failure.says("/nowhere/libcuda.so.1"));
  CHECK(failure.says("cannot open shared object file"));
  CHECK(failure.says("Install the NVIDIA driver"));
  CHECK(failure.says("host execution"));

  std::string reason;
  CHECK(list_devices(&reason, "/nowhere/libcuda.so.1").empty());
  CHECK(reason == failure.text);
  reason.clear();
  CHECK(driver_version(&reason, "/nowhere/libcuda.so.1") == 0);
  CHECK(reason == failure.text);
}

TEST_CASE("a library that is no CUDA driver, or too old, is refused", "[driver]") {
  const auto other = failure_of([] { Driver::load("libm.so.6"); });
  CHECK(other.kind == ErrorKind::library_missing);
  CHECK(other.says("cuGetProcAddress_v2"));

  FakeCuda& fake = reset_fake();
  fake.missing = "cuLibraryLoadData";
  const auto old = failure_of([] { Driver::load(FOURGE_FAKE_CUDA); });
  CHECK(old.kind == ErrorKind::library_missing);
  CHECK(old.says("cuLibraryLoadData (CUDA 12.0)"));

  fake.missing = "cuFuncLoad";
  CHECK(Driver::load(FOURGE_FAKE_CUDA)->cuFuncLoad == nullptr);
}

TEST_CASE("a driver that refuses to start is reported with its status", "[driver]") {
  FakeCuda& fake = reset_fake();
  fake.failing = "cuInit";
  fake.failure = CUDA_ERROR_NO_DEVICE;
  const auto failure = failure_of([] { Driver::load(FOURGE_FAKE_CUDA); });
  CHECK(failure.kind == ErrorKind::driver);
  CHECK(failure.status == CUDA_ERROR_NO_DEVICE);
  CHECK(failure.says("cuInit(0) failed with CUDA_ERROR_OTHER (100): words about it"));
  std::string reason;
  CHECK(list_devices(&reason, FOURGE_FAKE_CUDA).empty());
  CHECK(reason == failure.text);
  fake.failure = CUDA_ERROR_UNKNOWN;  // which this driver has no name for
  CHECK(failure_of([] { Driver::load(FOURGE_FAKE_CUDA); }).says("unknown CUresult (999)"));
}

TEST_CASE("devices are listed without a context", "[driver]") {
  FakeCuda& fake = reset_fake();
  fake.devices[1].major = 7;
  std::string reason = "old";
  const auto devices = list_devices(&reason, FOURGE_FAKE_CUDA);
  REQUIRE(devices.size() == 2);
  CHECK(reason.empty());
  CHECK(devices[0].name == "Fake GPU A");
  CHECK(devices[0].multiprocessors == 132);
  CHECK(devices[0].memory_bytes == std::size_t{140} << 30);
  CHECK(devices[0].uuid == "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
  REQUIRE(devices[0].target.has_value());
  CHECK(devices[0].target->text() == "sm_90a");
  CHECK_FALSE(devices[1].target.has_value());
  CHECK(driver_version(nullptr, FOURGE_FAKE_CUDA) == 13000);
  CHECK(fake.count("cuDevicePrimaryCtxRetain") + fake.count("cuCtxCreate") == 0);
  fake.device_count = 0;
  CHECK(list_devices(&reason, FOURGE_FAKE_CUDA).empty());
  CHECK(reason.find("no device") != std::string::npos);
}

TEST_CASE("a kernel is loaded once, at once, into the caller's context", "[driver]") {
  FakeCuda& fake = reset_fake();
  {
    const DeviceContext context(1, ContextKind::primary, FOURGE_FAKE_CUDA);
    const std::size_t retains = fake.count("cuDevicePrimaryCtxRetain");
    const std::size_t pushes = fake.count("cuCtxPushCurrent");
    const auto state = load_probe();
    CHECK(fake.libraries == 1);
    CHECK(std::string(fake.kernel_name) == "one letter");
    CHECK(fake.count("cuFuncLoad") == 1);
    CHECK(fake.count("cuKernelSetAttribute") == 0);
    CHECK(state->devices[0].multiprocessors == 132);
    CHECK(state->devices[1].runs);
    CHECK_FALSE(state->devices[2].present);
    CHECK(detail::device_target(*state->driver).text() == "sm_90a");
    // The context is neither changed nor created.
    CHECK(fake.count("cuDevicePrimaryCtxRetain") == retains);
    CHECK(fake.count("cuCtxPushCurrent") == pushes);
    CHECK(fake.count("cuCtxPopCurrent") + fake.count("cuCtxSetCurrent") == 0);
    CHECK(fake.count("cuCtxCreate") == 0);
  }
  CHECK(fake.libraries == 0);
  CHECK(fake.primary_retains == 0);
}

TEST_CASE("older drivers load by asking for an attribute", "[driver]") {
  FakeCuda& fake = reset_fake();
  fake.missing = "cuFuncLoad";
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  load_probe();
  CHECK(fake.count("cuFuncGetAttribute") == 1);
}

TEST_CASE("what cannot be loaded is refused, and nothing leaks", "[driver]") {
  FakeCuda& fake = reset_fake();
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  const KernelSpec spec(probe_op(), Target::parse("sm_90a"));
  const auto load = [&](const BuiltCubin& cubin, const char* entry = "k") {
    return failure_of([&] { load_kernel(driver, spec, entry, build_cubin(cubin)); });
  };
  const auto homeless = load(probe_cubin());
  CHECK(homeless.kind == ErrorKind::unsupported);
  CHECK(homeless.says("no current CUDA context"));
  CHECK(failure_of([&] { detail::device_target(*driver); }).kind == ErrorKind::unsupported);

  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  SECTION("a cubin of another target never reaches the driver") {
    const auto failure = load(probe_cubin("sm_100a", 100));
    CHECK(failure.kind == ErrorKind::invalid_argument);
    CHECK(failure.says("cubin is for sm_100a"));
    CHECK(failure.says(spec.text()));
    CHECK(load(probe_cubin("sm_90", 90)).says("cubin is for sm_90,"));
    CHECK(fake.count("cuLibraryLoadData") == 0);
  }
  SECTION("nor one for another device") {
    const auto failure = failure_of([] { load_probe("sm_100a", 100); });
    CHECK(failure.kind == ErrorKind::unsupported);
    CHECK(failure.says("cubin is for sm_100a, but device 0"));
    CHECK(failure.says("9.0"));
    CHECK(fake.count("cuLibraryLoadData") == 0);
  }
  SECTION("nor one without the entry, nor what is no cubin") {
    CHECK(load(probe_cubin(), "other").says("has no entry other; it holds k"));
    const auto failure = failure_of([&] { load_kernel(driver, spec, "k", {}); });
    CHECK(failure.kind == ErrorKind::invalid_argument);
    CHECK(fake.count("cuLibraryLoadData") == 0);
  }
  SECTION("parameters must be the op's, by the cubin's word") {
    BuiltCubin cubin = probe_cubin();
    cubin.params[2].offset = 12;
    const auto failure = load(cubin);
    CHECK(failure.kind == ErrorKind::internal);
    CHECK(failure.says("parameter 2 (count)"));
    CHECK(failure.says("expected 8 bytes at offset 16, found 8 bytes at offset 12"));
    cubin.params.pop_back();
    CHECK(load(cubin).says("has 2 parameters; expected 3"));
    CHECK(fake.count("cuLibraryLoadData") == 0);
  }
  SECTION("and by the driver's") {
    fake.params[1].size = 8;
    CHECK(load(probe_cubin()).says("parameter 1 (factor)"));
    fake.params[1].size = 4;
    fake.param_count = 4;
    CHECK(load(probe_cubin()).says("more parameters; expected 3"));
    fake.param_count = 1;
    CHECK(load(probe_cubin()).says("1 parameters; expected 3"));
    CHECK(fake.count("cuLibraryLoadData") == 3);
  }
  SECTION("a driver that refuses is quoted with the spec") {
    for (const char* call : {"cuLibraryLoadData", "cuLibraryGetKernel", "cuKernelGetFunction",
                             "cuFuncLoad", "cuKernelGetParamInfo"}) {
      fake.failing = call;
      fake.failure = CUDA_ERROR_INVALID_IMAGE;
      const auto failure = load(probe_cubin());
      CHECK(failure.kind == ErrorKind::driver);
      CHECK(failure.status == CUDA_ERROR_INVALID_IMAGE);
      CHECK(failure.says(call));
      CHECK(failure.says("CUDA_ERROR_INVALID_IMAGE (200): words about it"));
      CHECK(failure.says(spec.text()));
    }
    fake.failing = "cuLibraryLoadData";
    fake.failure = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    CHECK(load(probe_cubin()).says("prepare kernels before capturing"));
  }
  CHECK(fake.libraries == 0);
}

TEST_CASE("the limit of dynamic shared memory is raised once per device that needs it",
          "[driver]") {
  FakeCuda& fake = reset_fake();
  fake.device_count = 3;
  fake.devices[1].major = 8;
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  const KernelSpec spec(probe_op(), Target::parse("sm_90a"));
  BuiltCubin cubin = probe_cubin();
  cubin.shared_bytes = 1024 + 2000;
  load_kernel(driver, spec, "k", build_cubin(cubin), {48 * 1024 - 2000});
  CHECK(fake.count("cuKernelSetAttribute") == 0);
  load_kernel(driver, spec, "k", build_cubin(cubin), {48 * 1024});
  CHECK(fake.count("cuKernelSetAttribute") == 2);
  CHECK(fake.shared_limit[0] == 48 * 1024);
  CHECK(fake.shared_limit[1] == 0);
  CHECK(fake.shared_limit[2] == 48 * 1024);
  const auto failure =
      failure_of([&] { load_kernel(driver, spec, "k", build_cubin(cubin), {232448 - 1999}); });
  CHECK(failure.kind == ErrorKind::unsupported);
  CHECK(fake.libraries == 0);
}

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
  }
  CHECK(fake.launches[0].config.hStream == stream);
  CHECK(fake.launches[0].config.numAttrs == 0);
  CHECK(fake.launches[1].config.hStream == nullptr);
  REQUIRE(fake.launches[1].config.numAttrs == 1);
  CHECK(on_this_stack(fake.launches[1].config.attrs));
  CHECK(fake.launches[1].attributes[0].id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
  CHECK(fake.launches[1].attributes[0].value.programmaticStreamSerializationAllowed == 1);
  // Nothing else was asked of the driver: where, and go.
  CHECK(fake.call_count == before + 4);
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
    }
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

}  // namespace fourge
