// The driver layer and stream capture, against a make-believe libcuda.
#include <thread>

#include "runtime/driver/capture.hpp"
#include "runtime/prepared_kernel.hpp"
#include "tests/gpu/capture_support.hpp"
#include "tests/gpu/driver_probe.hpp"

namespace fourge::tests {
namespace {

using fourge::detail::PreparedKernel;
using fourge::detail::refuse_in_capture;
using fourge::detail::RelaxedCapture;

Failure refusal(const Driver& driver, std::optional<CUstream> stream = std::nullopt) {
  return failure_of([&] { refuse_in_capture(driver, stream, "spec"); });
}

}  // namespace

TEST_CASE("the make-believe driver breaks a capture as the real one does", "[driver][capture]") {
  reset_fake();
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  const auto state = load_probe();
  const RawStream stream(*driver, CU_STREAM_NON_BLOCKING);
  CUfunction function = nullptr;
  for (const auto mode : kCaptureModes) {
    INFO(static_cast<int>(mode));
    const bool relaxed = mode == CU_STREAM_CAPTURE_MODE_RELAXED;
    RawCapture capture(*driver, stream.get(), mode);
    CHECK(driver->cuKernelGetFunction(&function, state->kernel) ==
          (relaxed ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED));
    CHECK(capture.end() == (relaxed ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED));
  }
}

TEST_CASE("relaxed mode lasts as long as it is wanted", "[driver][capture]") {
  reset_fake();
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
  driver->cuThreadExchangeStreamCaptureMode(&mode);
  {
    const RelaxedCapture relaxed(*driver);
    const RelaxedCapture again(*driver);
  }
  CUstreamCaptureMode found = mode;
  driver->cuThreadExchangeStreamCaptureMode(&found);
  CHECK(found == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
}

TEST_CASE("captures that can be seen are refused and stay whole", "[driver][capture]") {
  FakeCuda& fake = reset_fake();
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  const RawStream blocking(*driver, CU_STREAM_DEFAULT);
  const RawStream free(*driver, CU_STREAM_NON_BLOCKING);
  CHECK_FALSE(refusal(*driver).thrown);
  CHECK_FALSE(refusal(*driver, free.get()).thrown);
  CHECK_FALSE(refusal(*driver, nullptr).thrown);
  for (const auto mode : kCaptureModes) {
    INFO(static_cast<int>(mode));
    {
      RawCapture capture(*driver, blocking.get(), mode);
      const auto refused = refusal(*driver);
      CHECK(refused.kind == ErrorKind::unsupported);
      CHECK(refused.says("spec: "));
      CHECK(refused.says("a blocking stream of the current context"));
      CHECK(refused.says("Prepare kernels before the capture begins"));
      CHECK(refusal(*driver, blocking.get()).says("the stream it was asked for is captured"));
      CHECK(refusal(*driver, nullptr).says("legacy default stream"));
      CHECK_FALSE(refusal(*driver, free.get()).thrown);
      {
        const DeviceContext other(1, ContextKind::primary, FOURGE_FAKE_CUDA);
        CHECK_FALSE(refusal(*driver).thrown);
      }
      CHECK(capture.end() == CUDA_SUCCESS);
    }
    {
      RawCapture capture(*driver, CU_STREAM_PER_THREAD, mode);
      CHECK(refusal(*driver).says("this thread's default stream"));
      CHECK(refusal(*driver, free.get()).thrown);
      Failure elsewhere;
      std::thread([&] { elsewhere = refusal(*driver, free.get()); }).join();
      CHECK_FALSE(elsewhere.thrown);
      CHECK(capture.end() == CUDA_SUCCESS);
    }
    {
      // One that an error ended is not over until it is ended.
      const RawCapture capture(*driver, free.get(), CU_STREAM_CAPTURE_MODE_GLOBAL);
      driver->cuLibraryUnload(nullptr);
      ++fake.libraries;
      CHECK(refusal(*driver, free.get()).thrown);
    }
  }
  fake.failing = "cuStreamIsCapturing";
  fake.failure = CUDA_ERROR_INVALID_IMAGE;
  CHECK(refusal(*driver).status == CUDA_ERROR_INVALID_IMAGE);
}

TEST_CASE("the body of a Graph is a capture of its thread", "[driver][capture]") {
  reset_fake();
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  const Stream stream(context);
  const Stream other(context);
  const Graph graph(context, stream, [&] {
    CHECK(refusal(*driver).says("this thread captures a stream for a fourge::Graph"));
    CHECK(refusal(*driver, other.get()).thrown);
    Failure elsewhere;
    std::thread([&] { elsewhere = refusal(*driver); }).join();
    CHECK_FALSE(elsewhere.thrown);
  });
  CHECK(failure_of([&] {
          const Graph bad(context, stream, [] { throw Error(ErrorKind::internal, "in capture"); });
        }).text == "in capture");
  CHECK_FALSE(refusal(*driver).thrown);
}

TEST_CASE("loading and unloading break no capture", "[driver][capture]") {
  reset_fake();
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  const RawStream stream(*driver, CU_STREAM_NON_BLOCKING);
  for (const auto mode : kCaptureModes) {
    INFO(static_cast<int>(mode));
    RawCapture capture(*driver, stream.get(), mode);
    load_probe();
    std::thread([&] {
      const CurrentContext current(context);
      load_probe();
    }).join();
    CHECK(capture.end() == CUDA_SUCCESS);
  }
}

TEST_CASE("a prepared kernel is loaded once for each context, and not in a capture",
          "[driver][capture]") {
  FakeCuda& fake = reset_fake();
  fake.devices[1].major = 10;
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto driver = Driver::load(FOURGE_FAKE_CUDA);
  PreparedKernel kernel(load_probe());
  CHECK(fake.count("cuFuncLoad") == 1);
  kernel.load_for_current_context();
  CHECK(fake.count("cuFuncLoad") == 1);
  const RawStream blocking(*driver, CU_STREAM_DEFAULT);
  {
    const RawCapture capture(*driver, blocking.get(), CU_STREAM_CAPTURE_MODE_GLOBAL);
    kernel.load_for_current_context();
  }
  for (std::size_t made = 0; made < 2; ++made) {
    // Both have the same address; the second is another context all the same.
    const DeviceContext separate(0, ContextKind::separate, FOURGE_FAKE_CUDA);
    const RawStream own(*driver, CU_STREAM_DEFAULT);
    {
      RawCapture capture(*driver, own.get(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
      CHECK(failure_of([&] { kernel.load_for_current_context(); }).says("is captured"));
      CHECK(capture.end() == CUDA_SUCCESS);
    }
    CHECK(fake.count("cuFuncLoad") == 1 + made);
    kernel.load_for_current_context();
    kernel.load_for_current_context();
    CHECK(fake.count("cuFuncLoad") == 2 + made);
  }
  const DeviceContext wrong(1, ContextKind::primary, FOURGE_FAKE_CUDA);
  const auto refused = failure_of([&] { kernel.load_for_current_context(); });
  CHECK(refused.kind == ErrorKind::unsupported);
  CHECK(refused.says("target sm_90a does not run on device 1"));
  Failure homeless;
  std::thread([&] { homeless = failure_of([&] { kernel.load_for_current_context(); }); }).join();
  CHECK(homeless.says("no current CUDA context"));
}

}  // namespace fourge::tests
