// A server's states, with this machine's NVRTC, on a make-believe libcuda. Needs no GPU.
#include <atomic>
#include <chrono>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "tests/gpu/capture_support.hpp"
#include "tests/gpu/driver_probe.hpp"
#include "tests/gpu/fake_runtime.hpp"
#include "tests/runtime/scratch.hpp"

namespace fourge::tests {
namespace {

constexpr const char* kWanted = "nvfp4_quantize[layout=8x4,tpc=4]";
constexpr const char* kGeneral = "nvfp4_quantize[layout=8x4]";

Manifest manifest_of(const std::string& spec) {
  return Manifest::parse("{\"fourge_manifest\": 1, \"specs\": [\"" + spec + "\"]}");
}

template <class Condition>
bool becomes_true(const Condition& condition) {
  for (int i = 0; i < 6000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

}  // namespace

TEST_CASE("a kernel is prepared in the background for the caller's context", "[serving][driver]") {
  FakeCuda& fake = reset_for_real_kernels();
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  const KernelSpec spec = KernelSpec::parse(kGeneral, Target::parse("sm_90a"));
  CHECK(failure_of([&] { runtime.prepare_async(spec); }).says("no current CUDA context"));
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const PendingKernel pending = runtime.prepare_async(spec);
  const Kernel kernel = pending.get();
  CHECK(pending.ready());
  CHECK(kernel.spec() == spec);
  CHECK(kernel.running() == spec);
  // Here and now it is a look-up, and loaded already.
  const std::size_t loads = fake.count("cuFuncLoad");
  CHECK(runtime.prepare(spec).spec() == spec);
  CHECK(runtime.prepare_async(spec).ready());
  CHECK(fake.count("cuFuncLoad") == loads);
  kernel.launch(some_args(), nullptr);
  CHECK(fake.launch_count == 1);
}

TEST_CASE("everything of a manifest is loaded, then the runtime is ready", "[serving][driver]") {
  reset_for_real_kernels();
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  CHECK_FALSE(runtime.ready());
  std::vector<std::string> done;
  PrepareAllOptions options;
  options.progress = [&](const PrepareProgress& progress) {
    CHECK(progress.total == 2);
    CHECK(progress.error == nullptr);
    CHECK_FALSE(runtime.ready());
    CHECK(runtime.serving().preparing);
    done.push_back(progress.spec->text_without_target());
    CHECK(progress.done == done.size());
  };
  const PrepareReport report = runtime.prepare_all(manifest_of(kWanted), options);
  CHECK(report.ok());
  CHECK(report.prepared == 2);
  REQUIRE(done.size() == 2);
  CHECK(done[0].find("tpc=1") != std::string::npos);  // the fallback variant first
  CHECK(runtime.ready());
  CHECK(runtime.serving().done == 2);
  CHECK_FALSE(runtime.serving().preparing);
  runtime.freeze(FreezePolicy::refuse);
  CHECK(runtime.prepare(KernelSpec::parse(kWanted, runtime.device_target())).spec().get("tpc") ==
        "4");
  CHECK(runtime.serving().frozen_misses == 0);
  const Manifest other = Manifest::parse(
      R"({"fourge_manifest": 1, "targets": ["sm_100a"], "specs": ["nvfp4_quantize"]})");
  CHECK(failure_of([&] { runtime.prepare_all(other); }).says("nothing for this device (sm_90a)"));
  CHECK(runtime.ready());
}

TEST_CASE("a frozen runtime refuses, or warns and compiles", "[serving][driver]") {
  FakeCuda& fake = reset_for_real_kernels();
  const Scratch scratch;
  LogLines log;
  Options options = fake_options(scratch);
  options.log = log.sink();
  Runtime runtime(options);
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const KernelSpec spec = KernelSpec::parse(kGeneral, runtime.device_target());
  runtime.freeze(FreezePolicy::refuse);
  const auto loads = fake.libraries.load();
  const auto failure = failure_of([&] { runtime.prepare(spec); });
  CHECK(failure.kind == ErrorKind::frozen);
  CHECK(failure.says(spec.text()));
  CHECK(failure_of([&] { runtime.build(spec); }).kind == ErrorKind::frozen);
  CHECK(runtime.stats().disk_hits + runtime.stats().compiles == 0);
  CHECK(fake.libraries == loads);
  CHECK(runtime.stats().frozen_misses == 2);
  // Asked for on purpose.
  CHECK(runtime.prepare_async(spec).get().spec() == spec);
  CHECK(runtime.prepare(spec).spec() == spec);

  const KernelSpec other = KernelSpec::parse(kWanted, runtime.device_target());
  runtime.freeze(FreezePolicy::warn_and_compile);
  CHECK(runtime.prepare(other).running() == other);
  CHECK(log.all().find(other.text()) != std::string::npos);
  CHECK(runtime.serving().policy == FreezePolicy::warn_and_compile);
  runtime.thaw();
  CHECK_FALSE(runtime.serving().frozen);
  CHECK(runtime.prepare(spec).spec() == spec);
}

TEST_CASE("a fallback variant stands in, then the wanted one takes its place",
          "[serving][driver]") {
  FakeCuda& fake = reset_for_real_kernels();
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const Target target = runtime.device_target();
  const KernelSpec wanted = KernelSpec::parse(kWanted, target);
  const KernelSpec general = KernelSpec::parse(kGeneral, target);
  REQUIRE(runtime.prepare_all(manifest_of(kGeneral)).ok());
  runtime.freeze(FreezePolicy::fallback);
  // Another result: nothing may stand in for it.
  const KernelSpec strange = KernelSpec::parse("nvfp4_quantize[layout=linear]", target);
  CHECK(failure_of([&] { runtime.prepare(strange); }).kind == ErrorKind::frozen);
  CHECK(failure_of([&] {
          runtime.prepare(KernelSpec(strange).set("tpc", "2"));
        }).says("its fallback variant"));

  const Kernel kernel = runtime.prepare(wanted);
  CHECK(kernel.spec() == wanted);
  CHECK((kernel.running() == general || kernel.running() == wanted));
  kernel.launch(some_args(), nullptr);
  REQUIRE(becomes_true([&] { return kernel.running() == wanted; }));
  CHECK(becomes_true([&] { return runtime.serving().stand_ins == 0; }));
  CHECK(runtime.stats().fallback_swaps == 1);
  kernel.launch(some_args(), nullptr);
  CHECK(fake.launch_count == 2);
  const auto misses = runtime.stats().frozen_misses;
  CHECK(runtime.prepare(wanted).running() == wanted);
  CHECK(runtime.stats().frozen_misses == misses);
}

TEST_CASE("the wanted variant is loaded for every context it was asked for in",
          "[serving][driver]") {
  reset_for_real_kernels();
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  const DeviceContext first(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const Target target = runtime.device_target();
  const KernelSpec wanted = KernelSpec::parse(kWanted, target);
  REQUIRE(runtime.prepare_all(manifest_of(kGeneral)).ok());
  runtime.freeze(FreezePolicy::fallback);
  const DeviceContext second(1, ContextKind::separate, FOURGE_FAKE_CUDA);
  const Kernel kernel = runtime.prepare(wanted);
  {
    const CurrentContext current(first);
    CHECK(runtime.prepare(wanted).spec() == wanted);
  }
  REQUIRE(becomes_true([&] { return kernel.running() == wanted; }));
  // Known for both: nothing is loaded any more, which a capture would refuse.
  const Stream stream(second);
  const Graph graph(second, stream, [&] {
    runtime.prepare(wanted).launch(some_args(), stream.get());
    const CurrentContext current(first);
    CHECK(runtime.prepare(wanted).running() == wanted);
  });
}

TEST_CASE("in a capture the fallback variant stands in and the caller loads nothing",
          "[serving][driver]") {
  FakeCuda& fake = reset_for_real_kernels();
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const KernelSpec wanted = KernelSpec::parse(kWanted, runtime.device_target());
  REQUIRE(runtime.prepare_all(manifest_of(kGeneral)).ok());
  runtime.freeze(FreezePolicy::fallback);
  const Stream stream(context);
  std::optional<Kernel> kernel;
  const Graph graph(context, stream, [&] {
    kernel = runtime.prepare(wanted, stream.get());
    kernel->launch(some_args(), stream.get());
    // In the background, while the capture goes on.
    CHECK(becomes_true([&] { return kernel->running() == wanted; }));
    kernel->launch(some_args(), stream.get());
  });
  CHECK(fake.launch_count == 2);
}

TEST_CASE("sixteen threads ask a frozen runtime, and launch through the swap",
          "[serving][driver]") {
  reset_for_real_kernels();
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const Target target = runtime.device_target();
  REQUIRE(runtime.prepare_all(manifest_of(kGeneral)).ok());
  runtime.freeze(FreezePolicy::fallback);
  std::vector<KernelSpec> specs;
  for (const char* tpc : {"1", "2", "4"}) {
    specs.push_back(KernelSpec::parse(kGeneral, target).set("tpc", tpc));
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      const CurrentContext current(context);
      for (int round = 0; round < 20; ++round) {
        for (const KernelSpec& spec : specs) {
          const Kernel kernel = runtime.prepare(spec);
          wrong += kernel.spec() == spec && kernel.running().same_results(spec) ? 0 : 1;
          kernel.launch(some_args(), nullptr);
          wrong += runtime.serving().ready ? 0 : 1;
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(wrong == 0);
  CHECK(becomes_true([&] { return runtime.serving().pending == 0; }));
  CHECK(runtime.stats().fallback_swaps == 2);
  CHECK(runtime.serving().stand_ins == 0);
}

TEST_CASE("a runtime that goes unloads what a background load was for", "[serving][driver]") {
  FakeCuda& fake = reset_for_real_kernels();
  const Scratch scratch;
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const KernelSpec spec = KernelSpec::parse(kGeneral, Target::parse("sm_90a"));
  PendingKernel pending;
  {
    Runtime runtime(fake_options(scratch));
    pending = runtime.prepare_async(spec);
  }
  CHECK(pending.ready());
  CHECK(fake.libraries == 0);
}

}  // namespace fourge::tests
