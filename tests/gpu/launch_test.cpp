// How kernels are launched: threads, streams, contexts, devices, graphs, repeats, and refusals.
#include <atomic>
#include <cmath>
#include <cstring>
#include <fourge/error.hpp>
#include <functional>
#include <limits>
#include <string>
#include <thread>

#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace fourge::tests {
namespace {

constexpr auto kType = reference::ElementType::bf16;

struct Prepared {
  explicit Prepared(const Kernel& kernel, std::int64_t rows = 129, std::int64_t cols = 256,
                    std::uint64_t seed = 1)
      : x(make_input(Pattern::random, kType, rows, cols, seed)),
        problem(problem_for(kernel.spec(), x, rows, cols, te_global_scale(x, kType))),
        expected(reference::quantize_nvfp4(problem)) {}
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  std::vector<std::uint16_t> x;
  reference::Nvfp4Problem problem;
  reference::Nvfp4Output expected;
};

struct Failure {
  ErrorKind kind = ErrorKind::internal;
  std::string text;
  bool says(const std::string& part) const { return text.find(part) != std::string::npos; }
};

Failure failure_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  }
  return {ErrorKind::internal, "nothing was thrown"};
}

}  // namespace

TEST_CASE("arguments that the contract forbids are refused by name", "[launch]") {
  Gpu& gpu = Gpu::get();
  const Kernel kernel = gpu.prepare("layout=128x4");
  const Prepared given(kernel);
  const Stream stream(gpu.context());
  QuantizeCall call(gpu.context(), given.problem);
  call.prepare(stream.get());
  const auto refusal = [&](const std::function<void(Nvfp4QuantizeArgs&)>& spoil) {
    Nvfp4QuantizeArgs args = call.args();
    spoil(args);
    const auto failure = failure_of([&] { kernel.launch(args, stream.get()); });
    CHECK(failure.kind == ErrorKind::invalid_argument);
    return failure;
  };
  const auto byte_later = [](const void* pointer) {
    return static_cast<const void*>(static_cast<const std::uint8_t*>(pointer) + 1);
  };
  CHECK(refusal([](auto& args) { args.x = nullptr; }).says("x is"));
  CHECK(refusal([](auto& args) { args.codes = nullptr; }).says("codes"));
  CHECK(refusal([](auto& args) { args.scales = nullptr; }).says("scales"));
  CHECK(refusal([&](auto& args) { args.x = byte_later(args.x); }).says("x is"));
  CHECK(refusal([](auto& args) { args.codes += 8; }).says("codes"));
  CHECK(refusal([](auto& args) { args.scales += 4; }).says("scales"));
  CHECK(refusal([](auto& args) { args.cols = 250; }).says("250"));
  CHECK(refusal([](auto& args) { args.cols = 0; }).says("cols"));
  CHECK(refusal([](auto& args) { args.rows = -1; }).says("rows"));
  for (const float scale : {0.0F, -1.0F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    CHECK(refusal([&](auto& args) { args.global_scale_value = scale; }).says("global_scale"));
  }
  // Nothing of this reached the device, and the handle still works.
  kernel.launch(call.args(), stream.get());
  CHECK(same(given.expected, call.finish(stream)));
}

TEST_CASE("no rows: nothing is launched and no pointer is needed", "[launch]") {
  Gpu& gpu = Gpu::get();
  for (const char* layout : {"linear", "128x4", "8x4"}) {
    Nvfp4QuantizeArgs args;
    args.cols = 64;
    gpu.prepare(std::string("layout=") + layout).launch(args, nullptr);
  }
  gpu.context().synchronize();
}

TEST_CASE("without a current context there is advice, not a crash", "[launch]") {
  Gpu& gpu = Gpu::get();
  const Kernel kernel = gpu.prepare("layout=linear");
  Failure launched;
  Failure prepared;
  Failure asked;
  std::thread([&] {
    Nvfp4QuantizeArgs args;
    args.cols = 64;
    launched = failure_of([&] { kernel.launch(args, nullptr); });
    Options options = gpu.runtime().options();
    Runtime fresh(options);
    prepared = failure_of([&] { fresh.prepare(kernel.spec()); });
    asked = failure_of([&] { fresh.device_target(); });
  }).join();
  for (const Failure& failure : {launched, prepared, asked}) {
    CHECK(failure.kind == ErrorKind::unsupported);
    CHECK(failure.says("current"));
  }
  CHECK(gpu.runtime().device_target() == gpu.target());
}

TEST_CASE("a kernel for another target is refused before it is launched", "[launch]") {
  Gpu& gpu = Gpu::get();
  int refused = 0;
  for (const Target& target : Target::all()) {
    if (target.runs_on(gpu.info().major, gpu.info().minor)) continue;
    const KernelSpec spec(nvfp4_quantize_op(), target);
    const auto failure = failure_of([&] { gpu.runtime().prepare(spec); });
    INFO(failure.text);
    CHECK(failure.kind == ErrorKind::unsupported);
    CHECK(failure.says(target.text()));
    ++refused;
  }
  CHECK(refused > 0);
}

TEST_CASE("every target that runs on this device gives the reference's bits", "[launch]") {
  Gpu& gpu = Gpu::get();
  int ran = 0;
  for (const Target& target : Target::all()) {
    if (!target.runs_on(gpu.info().major, gpu.info().minor)) continue;
    KernelSpec spec(nvfp4_quantize_op(), target);
    const Kernel kernel = gpu.runtime().prepare(spec.set("layout", "128x4"));
    const Prepared given(kernel);
    INFO(spec.text());
    CHECK(same(given.expected, quantize_on(gpu.context(), kernel, given.problem)));
    ++ran;
  }
  CHECK(ran > 0);
}

TEST_CASE("16 threads launch through one handle", "[launch]") {
  Gpu& gpu = Gpu::get();
  const Kernel kernel = gpu.prepare("layout=128x4,tpc=2");
  std::atomic<int> right{0};
  std::vector<std::string> failures(16);
  std::vector<std::thread> threads;
  for (std::size_t thread = 0; thread < failures.size(); ++thread) {
    threads.emplace_back([&, thread] {
      try {
        const CurrentContext current(gpu.context());
        const Prepared given(kernel, 65 + static_cast<std::int64_t>(thread), 208, 100 + thread);
        for (int repeat = 0; repeat < 10; ++repeat) {
          const auto output = quantize_on(gpu.context(), kernel, given.problem, repeat % 2 == 0);
          if (same(given.expected, output)) ++right;
        }
      } catch (const std::exception& error) {
        failures[thread] = error.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) CHECK(failure.empty());
  CHECK(right == 160);
}

TEST_CASE("two streams at once, and the legacy default stream", "[launch][sanitize]") {
  Gpu& gpu = Gpu::get();
  const Kernel kernel = gpu.prepare("layout=8x4");
  const Prepared first(kernel, 500, 1024, 1);
  const Prepared second(kernel, 333, 2048, 2);
  const Stream one(gpu.context());
  const Stream two(gpu.context());
  QuantizeCall first_call(gpu.context(), first.problem);
  QuantizeCall second_call(gpu.context(), second.problem);
  first_call.prepare(one.get());
  second_call.prepare(two.get());
  for (int repeat = 0; repeat < 20; ++repeat) {
    kernel.launch(first_call.args(), one.get());
    kernel.launch(second_call.args(), two.get());
  }
  CHECK(same(first.expected, first_call.finish(one)));
  CHECK(same(second.expected, second_call.finish(two)));

  first_call.prepare(nullptr);
  kernel.launch(first_call.args(), nullptr);
  gpu.context().synchronize();
  CHECK(same(first.expected, first_call.finish(one)));
}

TEST_CASE("a launch is captured into a graph and replayed on new input", "[launch]") {
  Gpu& gpu = Gpu::get();
  const Kernel kernel = gpu.prepare("layout=128x4");
  Prepared given(kernel);
  const Stream stream(gpu.context());
  QuantizeCall call(gpu.context(), given.problem, true);
  call.prepare(stream.get());
  stream.synchronize();
  const Graph graph(gpu.context(), stream, [&] { kernel.launch(call.args(), stream.get()); });
  // Nothing ran yet.
  CHECK_FALSE(same(given.expected, call.finish(stream)));
  graph.launch(stream.get());
  CHECK(same(given.expected, call.finish(stream)));

  given.x = make_input(Pattern::boundary, kType, given.problem.rows, given.problem.cols, 3);
  auto changed = given.problem;
  changed.x = given.x;
  const auto expected = reference::quantize_nvfp4(changed);
  QuantizeCall second(gpu.context(), changed, true);
  second.prepare(stream.get());
  stream.synchronize();
  const Graph replayed(gpu.context(), stream, [&] { kernel.launch(second.args(), stream.get()); });
  for (int repeat = 0; repeat < 5; ++repeat) {
    second.prepare(stream.get());
    replayed.launch(stream.get());
    CHECK(same(expected, second.finish(stream)));
  }
}

TEST_CASE("a context of its own, with a kernel prepared in either", "[launch]") {
  Gpu& gpu = Gpu::get();
  const Kernel kernel = gpu.prepare("layout=128x4");
  const Prepared given(kernel);
  {
    const DeviceContext separate(gpu.info().ordinal, ContextKind::separate);
    CHECK(same(given.expected, quantize_on(separate, kernel, given.problem)));
    Runtime fresh(gpu.runtime().options());
    const Kernel own = fresh.prepare(kernel.spec());
    CHECK(same(given.expected, quantize_on(separate, own, given.problem)));
  }
  CHECK(same(given.expected, quantize_on(gpu.context(), kernel, given.problem)));
}

TEST_CASE("every other device runs the same handle", "[launch][devices]") {
  Gpu& gpu = Gpu::get();
  const auto devices = list_devices();
  if (devices.size() < 2) {
    WARN("this machine has one device: others are not checked");
    return;
  }
  const Kernel kernel = gpu.prepare("layout=128x4");
  const Prepared given(kernel);
  for (std::size_t i = 1; i < devices.size(); ++i) {
    if (!gpu.target().runs_on(devices[i].major, devices[i].minor)) continue;
    const DeviceContext other(static_cast<int>(i));
    INFO("device " << i);
    CHECK(same(given.expected, quantize_on(other, kernel, given.problem)));
    Runtime fresh(gpu.runtime().options());
    CHECK(same(given.expected, quantize_on(other, fresh.prepare(kernel.spec()), given.problem)));
  }
}

TEST_CASE("100 repeats give equal bytes", "[launch]") {
  Gpu& gpu = Gpu::get();
  for (const char* axes : {"layout=128x4,tpc=1", "layout=8x4,math=fast,tpc=4"}) {
    const Kernel kernel = gpu.prepare(axes);
    const Prepared given(kernel, 1000, 2048, 4);
    const Stream stream(gpu.context());
    QuantizeCall call(gpu.context(), given.problem);
    call.prepare(stream.get());
    kernel.launch(call.args(), stream.get());
    const auto first = call.finish(stream);
    int equal = 0;
    for (int repeat = 0; repeat < 100; ++repeat) {
      call.prepare(stream.get());
      kernel.launch(call.args(), stream.get());
      if (same(first, call.finish(stream))) ++equal;
    }
    INFO(axes);
    CHECK(equal == 100);
  }
}

TEST_CASE("programmatic dependent launch keeps the order of dependent kernels", "[launch]") {
  Gpu& gpu = Gpu::get();
  const Kernel kernel = gpu.prepare("layout=linear");
  constexpr std::int64_t kRows = 4096;
  constexpr std::int64_t kCols = 4096;
  const Prepared first(kernel, kRows, kCols, 11);
  // The second call quantizes the codes of the first, taken as bf16.
  std::vector<std::uint16_t> codes(first.expected.codes.size() / 2);
  std::memcpy(codes.data(), first.expected.codes.data(), first.expected.codes.size());
  const auto second = problem_for(kernel.spec(), codes, kRows, kCols / 4, 1.0F);
  const auto expected = reference::quantize_nvfp4(second, reference_threads());

  const Stream stream(gpu.context());
  QuantizeCall first_call(gpu.context(), first.problem);
  QuantizeCall second_call(gpu.context(), second);
  const LaunchOptions overlap{true};
  if (!gpu.target().features().grid_dependency) {
    CHECK(failure_of([&] { kernel.launch(first_call.args(), stream.get(), overlap); }).kind ==
          ErrorKind::unsupported);
    return;
  }
  for (int repeat = 0; repeat < 20; ++repeat) {
    first_call.prepare(stream.get());
    second_call.prepare(stream.get());
    Nvfp4QuantizeArgs chained = second_call.args();
    chained.x = first_call.args().codes;
    kernel.launch(first_call.args(), stream.get(), overlap);
    kernel.launch(chained, stream.get(), overlap);
    REQUIRE(same(expected, second_call.finish(stream)));
  }
  CHECK(same(first.expected, first_call.finish(stream)));
}

}  // namespace fourge::tests
