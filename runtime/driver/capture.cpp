#include "runtime/driver/capture.hpp"

#include <fmt/format.h>

#include <fourge/error.hpp>

namespace fourge::detail {
namespace {

thread_local int captures_of_this_thread = 0;

enum class Capture { none, active, elsewhere };

Capture capture_of(const Driver& driver, CUstream stream, std::string_view what) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult result = driver.cuStreamIsCapturing(stream, &status);
  if (result == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT) return Capture::elsewhere;
  driver.check(result, "cuStreamIsCapturing", what);
  return status == CU_STREAM_CAPTURE_STATUS_NONE ? Capture::none : Capture::active;
}

[[noreturn]] void refuse(std::string_view what, std::string_view found) {
  throw Error(ErrorKind::unsupported,
              fmt::format("{}: a kernel that is not loaded yet was asked for while {}. Nothing was "
                          "compiled or loaded, and the capture is intact. Prepare kernels before "
                          "the capture begins, or in another thread",
                          what, found));
}

}  // namespace

RelaxedCapture::RelaxedCapture(const Driver& driver) noexcept
    : driver_(driver),
      exchanged_(driver.cuThreadExchangeStreamCaptureMode(&mode_) == CUDA_SUCCESS) {}

RelaxedCapture::~RelaxedCapture() {
  if (exchanged_) driver_.cuThreadExchangeStreamCaptureMode(&mode_);
}

CapturingThread::CapturingThread() noexcept { ++captures_of_this_thread; }
CapturingThread::~CapturingThread() { --captures_of_this_thread; }

void refuse_in_capture(const Driver& driver, std::optional<CUstream> stream,
                       std::string_view what) {
  if (captures_of_this_thread > 0) {
    refuse(what, "this thread captures a stream for a fourge::Graph");
  }
  const RelaxedCapture relaxed(driver);
  if (capture_of(driver, CU_STREAM_PER_THREAD, what) == Capture::active) {
    refuse(what, "this thread's default stream is captured");
  }
  if (stream) {
    switch (capture_of(driver, *stream, what)) {
      case Capture::none:
        return;
      case Capture::active:
        refuse(what, "the stream it was asked for is captured");
      case Capture::elsewhere:
        refuse(what,
               "a blocking stream is captured, which closes the legacy default stream that it was "
               "asked for");
    }
  }
  if (capture_of(driver, CU_STREAM_LEGACY, what) != Capture::none) {
    refuse(what,
           "a blocking stream of the current context is captured (the driver does not say by which "
           "thread; prepare() with a stream looks at that one instead)");
  }
}

}  // namespace fourge::detail
