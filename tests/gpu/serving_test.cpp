// A server's states on the device: a fallback variant stands in while the wanted one is compiled, and
// launches go on through the swap; the background prepares for a context of the embedder's own.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace fourge::tests {
namespace {

constexpr const char* kGeneral = "nvfp4_quantize[layout=8x4]";
constexpr auto kType = reference::ElementType::bf16;

struct Given {
  explicit Given(const KernelSpec& spec)
      : x(make_input(Pattern::random, kType, 301, 512, 77)),
        problem(problem_for(spec, x, 301, 512, te_global_scale(x, kType))),
        expected(reference::quantize_nvfp4(problem)) {}
  Given(const Given&) = delete;
  Given& operator=(const Given&) = delete;

  std::vector<std::uint16_t> x;
  reference::Nvfp4Problem problem;
  reference::Nvfp4Output expected;
};

Manifest general_only() {
  return Manifest::parse(std::string(R"({"fourge_manifest": 1, "specs": [")") + kGeneral + "\"]}");
}

template <class Condition>
bool becomes_true(const Condition& condition) {
  for (int i = 0; i < 6000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

// Launches one handle without a pause, in its own thread and stream, and compares every result.
class Launching {
 public:
  Launching(const DeviceContext& context, const Kernel& kernel, const Given& given)
      : thread_([this, &context, kernel, &given] { run(context, kernel, given); }) {}
  ~Launching() { stop(); }
  Launching(const Launching&) = delete;
  Launching& operator=(const Launching&) = delete;

  void stop() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
  }
  // After stop().
  std::string failure;
  int stood_in = 0;  // launches before which the fallback variant ran
  int wanted = 0;
  // At any time.
  int launched() const { return launched_; }
  bool ended() const { return done_; }

 private:
  void run(const DeviceContext& context, const Kernel& kernel, const Given& given) {
    try {
      const CurrentContext current(context);
      while (!done_) {
        ++(kernel.running() == kernel.spec() ? wanted : stood_in);
        if (!same(given.expected, quantize_on(context, kernel, given.problem))) {
          failure = "launch " + std::to_string(launched_) + " gave other bytes";
          done_ = true;
        }
        ++launched_;
      }
    } catch (const std::exception& error) {
      failure = error.what();
      done_ = true;
    }
  }

  std::atomic<bool> done_{false};
  std::atomic<int> launched_{0};
  std::thread thread_;
};

}  // namespace

TEST_CASE("frozen: launches go on while the wanted variant is compiled and swapped in",
          "[serving]") {
  Gpu& gpu = Gpu::get();
  const KernelSpec general = KernelSpec::parse(kGeneral, gpu.target());
  const Given given(general);
  Runtime runtime(gpu.runtime().options());
  REQUIRE(runtime.prepare_all(general_only()).ok());
  const Kernel always = runtime.prepare(general);
  Launching unconcerned(gpu.context(), always, given);
  runtime.freeze(FreezePolicy::fallback);
  const std::uint64_t loads = runtime.stats().loads;
  for (const char* tpc : {"2", "4"}) {
    const KernelSpec wanted = KernelSpec(general).set("tpc", tpc);
    const Kernel kernel = runtime.prepare(wanted);
    CHECK(kernel.spec() == wanted);
    CHECK(kernel.running() == general);  // a compile takes longer than this look
    CHECK(same(given.expected, quantize_on(gpu.context(), kernel, given.problem)));
    Launching launching(gpu.context(), kernel, given);
    REQUIRE(becomes_true([&] { return kernel.running() == wanted; }));
    const int before = launching.launched();
    CHECK(becomes_true([&] { return launching.ended() || launching.launched() > before + 20; }));
    launching.stop();
    CHECK(launching.failure.empty());
    CHECK(launching.stood_in > 0);
    CHECK(launching.wanted > 0);
    WARN(wanted.text() << ": " << launching.stood_in << " launches of the fallback variant, then "
                       << launching.wanted << " of the wanted one, all the same bytes");
  }
  unconcerned.stop();
  CHECK(unconcerned.failure.empty());
  CHECK(unconcerned.stood_in == 0);
  CHECK(becomes_true([&] { return runtime.serving().stand_ins == 0; }));
  const Stats stats = runtime.stats();
  CHECK(stats.fallback_swaps == 2);
  CHECK(stats.loads == loads + 2);
  CHECK(stats.worker_compiles + stats.compiles == 3);
  WARN(stats.worker_compiles << " compiled by worker processes, " << stats.compiles
                             << " in this one");
}

TEST_CASE("a graph captured while a fallback variant stands in outlives the swap", "[serving]") {
  Gpu& gpu = Gpu::get();
  const KernelSpec general = KernelSpec::parse(kGeneral, gpu.target());
  const KernelSpec wanted = KernelSpec(general).set("tpc", "4");
  const Given given(general);
  Runtime runtime(gpu.runtime().options());
  REQUIRE(runtime.prepare_all(general_only()).ok());
  runtime.freeze(FreezePolicy::fallback);
  const Stream stream(gpu.context());
  QuantizeCall call(gpu.context(), given.problem);
  std::optional<Kernel> kernel;
  const Graph graph(gpu.context(), stream, [&] {
    kernel = runtime.prepare(wanted, stream.get());
    kernel->launch(call.args(), stream.get());
  });
  const auto replay = [&] {
    call.prepare(stream.get());
    graph.launch(stream.get());
    return call.finish(stream);
  };
  CHECK(same(given.expected, replay()));
  REQUIRE(becomes_true([&] { return kernel->running() == wanted; }));
  CHECK(same(given.expected, replay()));
  const Graph later(gpu.context(), stream, [&] { kernel->launch(call.args(), stream.get()); });
  call.prepare(stream.get());
  later.launch(stream.get());
  CHECK(same(given.expected, call.finish(stream)));
}

TEST_CASE("the background prepares for a context of the embedder's own", "[serving][context]") {
  Gpu& gpu = Gpu::get();
  const KernelSpec spec = KernelSpec::parse(kGeneral, gpu.target());
  const Given given(spec);
  Runtime runtime(gpu.runtime().options());
  const DeviceContext own(gpu.info().ordinal, ContextKind::separate);
  const PendingKernel pending = runtime.prepare_async(spec);
  const Kernel kernel = pending.get();
  CHECK(kernel.running() == spec);
  CHECK(same(given.expected, quantize_on(own, kernel, given.problem)));
  // Asked for by a thread that has the context from another one, and again in the primary context.
  std::string failure;
  std::thread other([&] {
    try {
      const CurrentContext current(own);
      const Kernel again = runtime.prepare_async(spec).get();
      if (!same(given.expected, quantize_on(own, again, given.problem))) failure = "other bytes";
    } catch (const std::exception& error) {
      failure = error.what();
    }
  });
  other.join();
  CHECK(failure.empty());
  {
    const CurrentContext primary(gpu.context());
    const Kernel there = runtime.prepare_async(spec).get();
    CHECK(same(given.expected, quantize_on(gpu.context(), there, given.problem)));
  }
  CHECK(runtime.stats().compiles + runtime.stats().worker_compiles == 1);
}

}  // namespace fourge::tests
