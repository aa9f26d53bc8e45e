// A whole Runtime, with this machine's NVRTC, on a make-believe libcuda: captures, contexts, devices and
// threads. Needs no GPU.
#include <atomic>
#include <fourge/device.hpp>
#include <fourge/launch_choice.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>
#include <thread>
#include <vector>

#include "runtime/tuning/tuned_choice.hpp"
#include "tests/gpu/capture_support.hpp"
#include "tests/gpu/driver_probe.hpp"
#include "tests/gpu/fake_runtime.hpp"
#include "tests/runtime/scratch.hpp"

namespace fourge::tests {
namespace {

constexpr const char* kSpec = "nvfp4_quantize[layout=8x4]";

}  // namespace

TEST_CASE("preparing leaves the current context alone and makes none", "[runtime][driver]") {
  FakeCuda& fake = reset_for_real_kernels();
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  const KernelSpec spec = KernelSpec::parse(kSpec, Target::parse("sm_90a"));
  CHECK(failure_of([&] { runtime.prepare(spec); }).says("no current CUDA context"));
  const DeviceContext context(1, ContextKind::separate, FOURGE_FAKE_CUDA);
  const auto calls = [&] {
    return fake.count("cuCtxCreate") + fake.count("cuDevicePrimaryCtxRetain") +
           fake.count("cuCtxSetCurrent") + fake.count("cuCtxPushCurrent") +
           fake.count("cuCtxPopCurrent");
  };
  const std::size_t before = calls();
  CHECK(runtime.device_target() == spec.target());
  const Kernel kernel = runtime.prepare(spec);
  kernel.launch(some_args(), CU_STREAM_PER_THREAD);
  kernel.launch(some_args(), CU_STREAM_LEGACY);
  kernel.launch(some_args(), nullptr);
  CHECK(calls() == before);
  REQUIRE(fake.launch_count == 3);
  CHECK(fake.launches[0].config.hStream == CU_STREAM_PER_THREAD);
  CHECK(fake.launches[1].config.hStream == CU_STREAM_LEGACY);
  CHECK(fake.launches[2].config.hStream == nullptr);
  CHECK(fake.launches[0].context == fake.launches[2].context);
}

TEST_CASE("the best variant is the tuned one of the current context's device",
          "[runtime][driver]") {
  reset_for_real_kernels();
  const Scratch scratch;
  Options options = scratch.options();
  options.driver_library = FOURGE_FAKE_CUDA;
  const KernelSpec spec = KernelSpec::parse(kSpec, Target::parse("sm_90a"));
  const CallShape shape{1000, 7168};
  const auto devices = list_devices(nullptr, FOURGE_FAKE_CUDA);
  REQUIRE(devices.size() >= 2);
  const int multiprocessors = devices[1].multiprocessors;
  REQUIRE(choose_launch(spec, shape, {multiprocessors}).get("tpc") != "2");
  TuningStore(options.cache_directory)
      .keep({tuning_key(spec, shape, devices[1].name),
             tuning_basis(spec, multiprocessors, options.ops), "tpc=2", 1.0});

  const Runtime runtime(options);
  CHECK(failure_of([&] {
          static_cast<void>(runtime.best_variant(spec, shape));
        }).says("no current CUDA context"));
  {
    const DeviceContext context(1, ContextKind::separate, FOURGE_FAKE_CUDA);
    CHECK(runtime.best_variant(spec, shape).get("tpc") == "2");
  }
  const DeviceContext context(0, ContextKind::separate, FOURGE_FAKE_CUDA);
  CHECK(runtime.best_variant(spec, shape) ==
        choose_launch(spec, shape, {devices[0].multiprocessors}));
}

TEST_CASE("preparing in a capture is refused before anything happens", "[runtime][driver]") {
  FakeCuda& fake = reset_for_real_kernels();
  const Scratch scratch;
  Options options = fake_options(scratch);
  options.cache_directory.clear();
  Runtime runtime(options);
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  const KernelSpec spec = KernelSpec::parse(kSpec, runtime.device_target());
  const RawStream blocking(*driver, CU_STREAM_DEFAULT);
  const RawStream free(*driver, CU_STREAM_NON_BLOCKING);
  const Stream own(context);
  for (const auto mode : kCaptureModes) {
    INFO(static_cast<int>(mode));
    RawCapture first(*driver, blocking.get(), mode);
    CHECK(failure_of([&] { runtime.prepare(spec); }).kind == ErrorKind::unsupported);
    CHECK(failure_of([&] { runtime.prepare(spec, blocking.get()); }).says(spec.text()));
    RawCapture second(*driver, free.get(), mode);
    CHECK(failure_of([&] { runtime.prepare(spec, free.get()); }).says("is captured"));
    RawCapture third(*driver, CU_STREAM_PER_THREAD, mode);
    CHECK(failure_of([&] { runtime.prepare(spec, own.get()); }).says("is captured"));
    CHECK(first.end() == CUDA_SUCCESS);
    CHECK(second.end() == CUDA_SUCCESS);
    CHECK(third.end() == CUDA_SUCCESS);
  }
  const Graph graph(context, own, [&] {
    CHECK(failure_of([&] { runtime.prepare(spec); }).says("fourge::Graph"));
  });
  CHECK(runtime.stats().compiles == 0);
  CHECK(runtime.stats().miss_disabled == 0);
  CHECK(fake.count("cuLibraryLoadData") == 0);
}

TEST_CASE("what is prepared is found and launched in a capture", "[runtime][driver]") {
  FakeCuda& fake = reset_for_real_kernels();
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const KernelSpec spec = KernelSpec::parse(kSpec, runtime.device_target());
  runtime.prepare(spec);
  const Stream stream(context);
  const Graph graph(context, stream, [&] {
    runtime.prepare(spec).launch(some_args(), stream.get());
    runtime.prepare(spec, stream.get()).launch(some_args(), stream.get(), {true});
  });
  CHECK(fake.launch_count == 2);
  CHECK(fake.launches[1].config.numAttrs == 1);
}

TEST_CASE("another thread prepares during a capture of any kind", "[runtime][driver]") {
  FakeCuda& fake = reset_for_real_kernels();
  const Scratch scratch;
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  for (const auto flags : {CU_STREAM_DEFAULT, CU_STREAM_NON_BLOCKING}) {
    const RawStream captured(*driver, flags);
    for (const auto mode : kCaptureModes) {
      INFO("flags " << flags << " mode " << static_cast<int>(mode));
      Runtime runtime(fake_options(scratch));
      const KernelSpec spec = KernelSpec::parse(kSpec, runtime.device_target());
      RawCapture capture(*driver, captured.get(), mode);
      Failure failure;
      std::thread([&] {
        failure = failure_of([&] {
          const CurrentContext current(context);
          const RawStream mine(*driver, CU_STREAM_NON_BLOCKING);
          runtime.prepare(spec, mine.get()).launch(some_args(), mine.get());
        });
      }).join();
      CHECK(failure.text.empty());
      // What is loaded now is there for the capturing thread too.
      runtime.prepare(spec).launch(some_args(), captured.get());
      CHECK(capture.end() == CUDA_SUCCESS);
    }
  }
  CHECK(fake.launch_count == 12);
}

TEST_CASE("a background request in a capture loads beside it", "[runtime][driver]") {
  FakeCuda& fake = reset_for_real_kernels();
  const Scratch scratch;
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  for (const auto flags : {CU_STREAM_DEFAULT, CU_STREAM_NON_BLOCKING}) {
    const RawStream captured(*driver, flags);
    for (const auto mode : kCaptureModes) {
      INFO("flags " << flags << " mode " << static_cast<int>(mode));
      Runtime runtime(fake_options(scratch));
      const KernelSpec spec = KernelSpec::parse(kSpec, runtime.device_target());
      RawCapture capture(*driver, captured.get(), mode);
      runtime.prepare_async(spec).get().launch(some_args(), captured.get());
      runtime.prepare(spec).launch(some_args(), captured.get());
      CHECK(capture.end() == CUDA_SUCCESS);
    }
  }
  CHECK(fake.launch_count == 12);
}

TEST_CASE("16 threads, four devices, two kinds of context, one Runtime", "[runtime][driver]") {
  FakeCuda& fake = reset_for_real_kernels();
  fake.device_count = 4;
  for (std::size_t i = 0; i < 4; ++i) fake.devices[i].multiprocessors = 100 + static_cast<int>(i);
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  constexpr std::size_t kThreads = 16;
  const char* const specs[] = {"nvfp4_quantize[layout=8x4]", "nvfp4_quantize[layout=linear]"};
  std::atomic<int> waiting{static_cast<int>(kThreads)};
  std::vector<std::string> failures(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      const auto failure = failure_of([&] {
        // Two threads have a separate context on each device, two the primary one.
        const DeviceContext context(
            static_cast<int>(thread % 4),
            thread < kThreads / 2 ? ContextKind::primary : ContextKind::separate, FOURGE_FAKE_CUDA);
        --waiting;
        while (waiting > 0) std::this_thread::yield();
        const Stream stream(context);
        for (int repeat = 0; repeat < 20; ++repeat) {
          const KernelSpec spec = KernelSpec::parse(
              specs[(thread + static_cast<std::size_t>(repeat)) % 2], runtime.device_target());
          const Kernel kernel = runtime.prepare(spec);
          kernel.launch(some_args(), stream.get());
          const Graph graph(context, stream, [&] {
            runtime.prepare(spec, stream.get()).launch(some_args(), stream.get());
          });
          runtime.stats();
        }
      });
      failures[thread] = failure.text;
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) CHECK(failure.empty());
  CHECK(fake.launch_count == kThreads * 40);
  CHECK(runtime.stats().loads == 2);
  CHECK(runtime.stats().compiles + runtime.stats().disk_hits == 2);
  CHECK(fake.libraries == 2);
}

TEST_CASE("a Runtime that goes during a capture breaks nothing", "[runtime][driver]") {
  FakeCuda& fake = reset_for_real_kernels();
  const Scratch scratch;
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  const RawStream stream(*driver, CU_STREAM_NON_BLOCKING);
  auto runtime = std::make_unique<Runtime>(fake_options(scratch));
  runtime->prepare(KernelSpec::parse(kSpec, runtime->device_target()));
  RawCapture capture(*driver, stream.get(), CU_STREAM_CAPTURE_MODE_GLOBAL);
  runtime.reset();
  CHECK(fake.libraries == 0);
  CHECK(capture.end() == CUDA_SUCCESS);
}

}  // namespace fourge::tests
