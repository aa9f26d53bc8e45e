// Kernels in CUDA graphs: replay, programmatic dependent launch, and preparing while a stream is
// captured, by this thread and by others.
#include <algorithm>
#include <cstring>
#include <fourge/error.hpp>
#include <optional>
#include <string>
#include <thread>

#include "tests/gpu/capture_support.hpp"
#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace fourge::tests {
namespace {

constexpr auto kType = reference::ElementType::bf16;
constexpr std::int64_t kRows = 130;
constexpr std::int64_t kCols = 512;

// Input that changes in place, so that a captured launch reads what came last.
class ChangingInput {
 public:
  explicit ChangingInput(const Kernel& kernel, std::uint64_t seed = 1)
      : x_(make_input(Pattern::random, kType, kRows, kCols, seed)),
        problem_(problem_for(kernel.spec(), x_, kRows, kCols, 300.0F)) {}
  ChangingInput(const ChangingInput&) = delete;
  ChangingInput& operator=(const ChangingInput&) = delete;

  void change(std::uint64_t seed) {
    const Pattern pattern = seed % 2 == 0 ? Pattern::boundary : Pattern::random;
    const auto next = make_input(pattern, kType, kRows, kCols, seed);
    std::copy(next.begin(), next.end(), x_.begin());
  }
  const reference::Nvfp4Problem& problem() const { return problem_; }
  reference::Nvfp4Output expected() const { return reference::quantize_nvfp4(problem_); }

 private:
  std::vector<std::uint16_t> x_;
  reference::Nvfp4Problem problem_;
};

// A captured graph that can be launched.
class RawGraph {
 public:
  RawGraph(const Driver& driver, CUgraph graph) : driver_(driver) {
    REQUIRE(driver.cuGraphInstantiateWithFlags(&executable_, graph, 0) == CUDA_SUCCESS);
  }
  ~RawGraph() { driver_.cuGraphExecDestroy(executable_); }
  RawGraph(const RawGraph&) = delete;
  RawGraph& operator=(const RawGraph&) = delete;
  void launch(CUstream stream) const {
    REQUIRE(driver_.cuGraphLaunch(executable_, stream) == CUDA_SUCCESS);
  }

 private:
  const Driver& driver_;
  CUgraphExec executable_ = nullptr;
};

std::string refusal_of(Runtime& runtime, const KernelSpec& spec,
                       std::optional<CUstream> stream = std::nullopt) {
  try {
    if (stream) {
      runtime.prepare(spec, *stream);
    } else {
      runtime.prepare(spec);
    }
  } catch (const Error& error) {
    return error.kind() == ErrorKind::unsupported ? error.what() : "another kind of error";
  }
  return "";
}

bool says(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

// Ends a capture of one launch and replays it: the capture must have stayed whole.
void check_whole(const Driver& driver, RawCapture& capture, QuantizeCall& call,
                 const ChangingInput& input, const Stream& stream) {
  REQUIRE(capture.end() == CUDA_SUCCESS);
  const RawGraph graph(driver, capture.graph());
  call.prepare(stream.get());
  graph.launch(stream.get());
  CHECK(same(input.expected(), call.finish(stream)));
}

}  // namespace

TEST_CASE("a captured launch is replayed 100 times on changed data", "[graph]") {
  Gpu& gpu = Gpu::get();
  const Kernel kernel = gpu.prepare("layout=128x4");
  ChangingInput input(kernel);
  const Stream stream(gpu.context());
  QuantizeCall call(gpu.context(), input.problem(), true);
  const Graph graph(gpu.context(), stream, [&] { kernel.launch(call.args(), stream.get()); });
  int right = 0;
  for (std::uint64_t repeat = 0; repeat < 100; ++repeat) {
    input.change(repeat);
    call.prepare(stream.get());
    graph.launch(stream.get());
    if (same(input.expected(), call.finish(stream))) ++right;
  }
  CHECK(right == 100);
}

TEST_CASE("dependent kernels of a graph overlap and keep their order", "[graph]") {
  Gpu& gpu = Gpu::get();
  if (!gpu.target().features().grid_dependency) {
    WARN("this device has no programmatic dependent launch");
    return;
  }
  const Kernel kernel = gpu.prepare("layout=linear");
  ChangingInput input(kernel);
  // The second quantizes the first one's codes, taken as bf16.
  std::vector<std::uint16_t> codes(static_cast<std::size_t>(kRows * kCols / 4));
  const auto second = problem_for(kernel.spec(), codes, kRows, kCols / 4, 1.0F);
  const Stream stream(gpu.context());
  QuantizeCall first_call(gpu.context(), input.problem());
  QuantizeCall second_call(gpu.context(), second);
  Nvfp4QuantizeArgs chained = second_call.args();
  chained.x = first_call.args().codes;
  const LaunchOptions overlap{true};
  const Graph graph(gpu.context(), stream, [&] {
    kernel.launch(first_call.args(), stream.get(), overlap);
    kernel.launch(chained, stream.get(), overlap);
  });
  int right = 0;
  for (std::uint64_t repeat = 0; repeat < 20; ++repeat) {
    input.change(repeat);
    const auto expected = input.expected();
    std::memcpy(codes.data(), expected.codes.data(), expected.codes.size());
    first_call.prepare(stream.get());
    second_call.prepare(stream.get());
    graph.launch(stream.get());
    const bool first_right = same(expected, first_call.finish(stream));
    if (first_right && same(reference::quantize_nvfp4(second), second_call.finish(stream))) ++right;
  }
  CHECK(right == 20);
}

TEST_CASE("preparing in a capture is refused and the capture goes on", "[graph][capture]") {
  Gpu& gpu = Gpu::get();
  const auto driver = Driver::load();
  const Kernel kernel = gpu.prepare("layout=128x4");
  Runtime fresh(gpu.runtime().options());
  const KernelSpec spec = kernel.spec();
  const ChangingInput input(kernel);
  const Stream stream(gpu.context());
  const RawStream blocking(*driver, CU_STREAM_DEFAULT);
  QuantizeCall call(gpu.context(), input.problem(), true);
  for (const auto mode : kCaptureModes) {
    INFO("mode " << static_cast<int>(mode));
    {
      RawCapture capture(*driver, stream.get(), mode);
      CHECK(says(refusal_of(fresh, spec, stream.get()), "is captured"));
      kernel.launch(call.args(), stream.get());
      check_whole(*driver, capture, call, input, stream);
    }
    {
      RawCapture capture(*driver, blocking.get(), mode);
      CHECK(says(refusal_of(fresh, spec), "a blocking stream"));
      CHECK(says(refusal_of(fresh, spec, nullptr), "legacy default stream"));
      kernel.launch(call.args(), blocking.get());
      check_whole(*driver, capture, call, input, stream);
    }
    {
      RawCapture capture(*driver, CU_STREAM_PER_THREAD, mode);
      CHECK(says(refusal_of(fresh, spec, stream.get()), "this thread's default stream"));
      kernel.launch(call.args(), CU_STREAM_PER_THREAD);
      check_whole(*driver, capture, call, input, stream);
    }
  }
  call.prepare(stream.get());
  const Graph graph(gpu.context(), stream, [&] {
    CHECK(says(refusal_of(fresh, spec), "fourge::Graph"));
    // What is prepared is found.
    gpu.runtime().prepare(spec).launch(call.args(), stream.get());
  });
  graph.launch(stream.get());
  CHECK(same(input.expected(), call.finish(stream)));
  CHECK(fresh.stats().compiles == 0);
  CHECK(fresh.stats().loads == 0);
}

TEST_CASE("a capture that cannot be seen is not harmed by preparing", "[graph][capture]") {
  Gpu& gpu = Gpu::get();
  const auto driver = Driver::load();
  const Kernel kernel = gpu.prepare("layout=128x4");
  const ChangingInput input(kernel);
  const Stream stream(gpu.context());
  QuantizeCall call(gpu.context(), input.problem(), true);
  for (const auto mode : kCaptureModes) {
    INFO("mode " << static_cast<int>(mode));
    Runtime fresh(gpu.runtime().options());
    RawCapture capture(*driver, stream.get(), mode);
    const Kernel own = fresh.prepare(kernel.spec());
    own.launch(call.args(), stream.get());
    check_whole(*driver, capture, call, input, stream);
  }
}

TEST_CASE("another thread prepares while a stream is captured", "[graph][capture]") {
  Gpu& gpu = Gpu::get();
  const auto driver = Driver::load();
  const Kernel kernel = gpu.prepare("layout=128x4");
  const ChangingInput input(kernel);
  const Stream stream(gpu.context());
  const Stream other(gpu.context());
  QuantizeCall call(gpu.context(), input.problem(), true);
  for (const unsigned flags : {CU_STREAM_DEFAULT, CU_STREAM_NON_BLOCKING}) {
    const RawStream captured(*driver, flags);
    for (const auto mode : kCaptureModes) {
      INFO("stream flags " << flags << " mode " << static_cast<int>(mode));
      Runtime fresh(gpu.runtime().options());
      std::string failure;
      RawCapture capture(*driver, captured.get(), mode);
      kernel.launch(call.args(), captured.get());
      std::thread([&] {
        const CurrentContext current(gpu.context());
        failure = refusal_of(fresh, kernel.spec(), other.get());
      }).join();
      CHECK(failure.empty());
      check_whole(*driver, capture, call, input, stream);
      CHECK(fresh.stats().loads == 1);
      // What the other thread prepared is good.
      CHECK(same(input.expected(),
                 quantize_on(gpu.context(), fresh.prepare(kernel.spec()), input.problem())));
    }
  }
}

TEST_CASE("a background request in a capture loads beside it", "[graph][capture]") {
  Gpu& gpu = Gpu::get();
  const auto driver = Driver::load();
  const KernelSpec spec = gpu.prepare("layout=128x4").spec();
  const ChangingInput input(gpu.prepare("layout=128x4"));
  const Stream stream(gpu.context());
  QuantizeCall call(gpu.context(), input.problem(), true);
  for (const auto mode : kCaptureModes) {
    INFO("mode " << static_cast<int>(mode));
    Runtime fresh(gpu.runtime().options());
    RawCapture capture(*driver, stream.get(), mode);
    fresh.prepare_async(spec).get().launch(call.args(), stream.get());
    check_whole(*driver, capture, call, input, stream);
  }
}

}  // namespace fourge::tests
