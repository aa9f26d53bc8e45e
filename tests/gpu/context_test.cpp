// Devices, contexts, threads and streams of an embedder: one Runtime serves them all and leaves the
// current context alone.
#include <atomic>
#include <fourge/error.hpp>
#include <string>
#include <thread>

#include "tests/gpu/capture_support.hpp"
#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace fourge::tests {
namespace {

constexpr auto kType = reference::ElementType::bf16;

struct Given {
  explicit Given(const KernelSpec& spec, std::uint64_t seed = 1)
      : x(make_input(Pattern::random, kType, 129, 256, seed)),
        problem(problem_for(spec, x, 129, 256, te_global_scale(x, kType))),
        expected(reference::quantize_nvfp4(problem)) {}
  Given(const Given&) = delete;
  Given& operator=(const Given&) = delete;

  std::vector<std::uint16_t> x;
  reference::Nvfp4Problem problem;
  reference::Nvfp4Output expected;
};

CUdeviceptr allocate(const Driver& driver, std::size_t bytes) {
  CUdeviceptr pointer = 0;
  REQUIRE(driver.cuMemAlloc(&pointer, bytes) == CUDA_SUCCESS);
  return pointer;
}

template <class T>
T* as(CUdeviceptr pointer) {
  return reinterpret_cast<T*>(static_cast<std::uintptr_t>(pointer));
}

// In the current context, with the driver's own calls only.
reference::Nvfp4Output quantize_raw(const Driver& driver, const Kernel& kernel,
                                    const reference::Nvfp4Problem& problem, CUstream stream) {
  reference::Nvfp4Output output;
  output.codes.resize(problem.x.size() / 2);
  output.scales.resize(problem.scale_matrix().bytes());
  const CUdeviceptr x = allocate(driver, problem.x.size_bytes());
  const CUdeviceptr codes = allocate(driver, output.codes.size());
  const CUdeviceptr scales = allocate(driver, output.scales.size());
  REQUIRE(driver.cuMemcpyHtoD(x, problem.x.data(), problem.x.size_bytes()) == CUDA_SUCCESS);
  REQUIRE(driver.cuMemsetD8(scales, 0xA5, output.scales.size()) == CUDA_SUCCESS);
  REQUIRE(driver.cuCtxSynchronize() == CUDA_SUCCESS);
  Nvfp4QuantizeArgs args;
  args.x = as<const void>(x);
  args.codes = as<std::uint8_t>(codes);
  args.scales = as<std::uint8_t>(scales);
  args.global_scale_value = problem.global_scale;
  args.rows = problem.rows;
  args.cols = problem.cols;
  kernel.launch(args, stream);
  REQUIRE(driver.cuStreamSynchronize(stream) == CUDA_SUCCESS);
  REQUIRE(driver.cuMemcpyDtoH(output.codes.data(), codes, output.codes.size()) == CUDA_SUCCESS);
  REQUIRE(driver.cuMemcpyDtoH(output.scales.data(), scales, output.scales.size()) == CUDA_SUCCESS);
  for (const CUdeviceptr pointer : {x, codes, scales}) driver.cuMemFree(pointer);
  return output;
}

CUcontext current(const Driver& driver) {
  CUcontext context = nullptr;
  REQUIRE(driver.cuCtxGetCurrent(&context) == CUDA_SUCCESS);
  return context;
}

std::vector<DeviceInfo> usable_devices(const Target& target) {
  std::vector<DeviceInfo> usable;
  for (const DeviceInfo& device : list_devices()) {
    if (target.runs_on(device.major, device.minor)) usable.push_back(device);
  }
  return usable;
}

}  // namespace

TEST_CASE("streams of any kind", "[context]") {
  Gpu& gpu = Gpu::get();
  const auto driver = Driver::load();
  const Kernel kernel = gpu.prepare("layout=128x4");
  const Given given(kernel.spec());
  const RawStream blocking(*driver, CU_STREAM_DEFAULT);
  const RawStream free(*driver, CU_STREAM_NON_BLOCKING);
  const CUstream none = nullptr;
  for (const CUstream stream :
       {none, CU_STREAM_LEGACY, CU_STREAM_PER_THREAD, blocking.get(), free.get()}) {
    INFO("stream " << stream);
    Runtime fresh(gpu.runtime().options());
    CHECK(same(given.expected, quantize_raw(*driver, kernel, given.problem, stream)));
    CHECK(same(given.expected,
               quantize_raw(*driver, fresh.prepare(kernel.spec(), stream), given.problem, stream)));
  }
}

TEST_CASE("the current context is neither changed nor made", "[context]") {
  Gpu& gpu = Gpu::get();
  const auto driver = Driver::load();
  const KernelSpec spec = gpu.prepare("layout=128x4").spec();
  const Given given(spec);
  Runtime fresh(gpu.runtime().options());
  const CUcontext before = current(*driver);
  const Kernel kernel = fresh.prepare(spec);
  CHECK(current(*driver) == before);
  quantize_raw(*driver, kernel, given.problem, nullptr);
  fresh.device_target();
  CHECK(current(*driver) == before);
  bool refused = false;
  CUcontext after = before;
  std::thread([&] {
    try {
      fresh.prepare(spec);
    } catch (const Error& error) {
      refused = error.kind() == ErrorKind::unsupported;
    }
    driver->cuCtxGetCurrent(&after);
  }).join();
  CHECK(refused);
  CHECK(after == nullptr);
}

TEST_CASE("contexts that the embedder makes and destroys", "[context]") {
  Gpu& gpu = Gpu::get();
  const auto driver = Driver::load();
  const KernelSpec spec = gpu.prepare("layout=8x4").spec();
  const Given given(spec);
  Runtime fresh(gpu.runtime().options());
  CUdevice device = 0;
  REQUIRE(driver->cuDeviceGet(&device, gpu.info().ordinal) == CUDA_SUCCESS);
  // More than are remembered; their addresses may come back.
  for (int repeat = 0; repeat < 20; ++repeat) {
    CUcontext own = nullptr;
    REQUIRE(driver->cuCtxCreate(&own, 0, device) == CUDA_SUCCESS);
    const Kernel kernel = fresh.prepare(spec);
    CHECK(same(given.expected, quantize_raw(*driver, kernel, given.problem, nullptr)));
    CHECK(current(*driver) == own);
    REQUIRE(driver->cuCtxDestroy(own) == CUDA_SUCCESS);
  }
  CHECK(fresh.stats().loads == 1);
  CHECK(same(given.expected, quantize_raw(*driver, fresh.prepare(spec), given.problem, nullptr)));
}

TEST_CASE("16 threads, all devices, both kinds of context, one Runtime", "[context][devices]") {
  Gpu& gpu = Gpu::get();
  const auto devices = usable_devices(gpu.target());
  REQUIRE_FALSE(devices.empty());
  Runtime runtime(gpu.runtime().options());
  const char* const layouts[] = {"linear", "128x4", "8x4"};
  constexpr std::size_t kThreads = 16;
  std::atomic<int> waiting{static_cast<int>(kThreads)};
  std::atomic<int> right{0};
  std::vector<std::string> failures(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      try {
        const DeviceContext context(
            devices[thread % devices.size()].ordinal,
            thread / devices.size() % 2 == 0 ? ContextKind::primary : ContextKind::separate);
        --waiting;
        while (waiting > 0) std::this_thread::yield();
        for (std::size_t repeat = 0; repeat < 9; ++repeat) {
          const auto spec = KernelSpec::parse(
              std::string("nvfp4_quantize[layout=") + layouts[(thread + repeat) % 3] + "]",
              runtime.device_target());
          const Given given(spec, thread * 100 + repeat);
          const Kernel kernel = runtime.prepare(spec);
          if (same(given.expected, quantize_on(context, kernel, given.problem))) ++right;
        }
      } catch (const std::exception& error) {
        waiting = 0;
        failures[thread] = error.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) CHECK(failure.empty());
  CHECK(right == 9 * static_cast<int>(kThreads));
  CHECK(runtime.stats().loads == 3);
  CHECK(runtime.stats().compiles == 3);
}

}  // namespace fourge::tests
