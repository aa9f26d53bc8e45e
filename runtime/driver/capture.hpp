// Kernels and stream capture.
//
// While a stream is captured, loading a kernel is "potentially unsafe" to the driver: on the capturing
// thread (unless the capture is relaxed), and on every thread while there is a global capture anywhere,
// the call fails and takes the capture with it. The driver has no query for "does this thread capture",
// and a trial call that is not permitted breaks the capture too. So there are two things here: what can
// be asked without harm is asked and leads to a refusal, and loads are made in relaxed mode, so that a
// capture that could not be seen stays whole.
#pragma once

#include <optional>
#include <string_view>

#include "runtime/driver/driver.hpp"

namespace fourge::detail {

// Puts the calling thread's capture interaction mode to relaxed, for as long as it lives. Calls that are
// not stream work are then permitted whatever is captured, and are not part of any capture.
class RelaxedCapture {
 public:
  explicit RelaxedCapture(const Driver& driver) noexcept;
  ~RelaxedCapture();
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  const Driver& driver_;
  CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
  bool exchanged_;
};

// The calling thread captures a stream through this library (fourge::Graph), as long as this lives.
class CapturingThread {
 public:
  CapturingThread() noexcept;
  ~CapturingThread();
  CapturingThread(const CapturingThread&) = delete;
  CapturingThread& operator=(const CapturingThread&) = delete;
};

// Throws Error(unsupported) with `what` if a capture is seen that a load should not happen in:
//   - the calling thread is in the body of a fourge::Graph;
//   - its per-thread default stream is captured;
//   - the given stream is captured, by whatever thread, or may not be used because of a capture
//     (the legacy default stream);
//   - no stream is given, and a blocking stream of the current context is captured. The driver does
//     not say by which thread.
// A capture of a non-blocking stream that is not given is not seen. Does no harm to any capture.
void refuse_in_capture(const Driver& driver, std::optional<CUstream> stream, std::string_view what);

}  // namespace fourge::detail
