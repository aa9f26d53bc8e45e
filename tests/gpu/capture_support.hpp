// A stream in capture mode, for tests of what may happen meanwhile.
#pragma once

#include "runtime/driver/driver.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {

inline constexpr CUstreamCaptureMode kCaptureModes[] = {CU_STREAM_CAPTURE_MODE_GLOBAL,
                                                        CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
                                                        CU_STREAM_CAPTURE_MODE_RELAXED};

// A stream of the current context as an embedder makes it, with the driver's own calls.
class RawStream {
 public:
  RawStream(const Driver& driver, unsigned flags) : driver_(driver) {
    REQUIRE(driver.cuStreamCreate(&stream_, flags) == CUDA_SUCCESS);
  }
  ~RawStream() { driver_.cuStreamDestroy(stream_); }
  RawStream(const RawStream&) = delete;
  RawStream& operator=(const RawStream&) = delete;
  CUstream get() const { return stream_; }

 private:
  const Driver& driver_;
  CUstream stream_ = nullptr;
};

// A capture that the calling thread begins and ends.
class RawCapture {
 public:
  RawCapture(const Driver& driver, CUstream stream, CUstreamCaptureMode mode)
      : driver_(driver), stream_(stream) {
    REQUIRE(driver.cuStreamBeginCapture(stream, mode) == CUDA_SUCCESS);
  }
  ~RawCapture() {
    if (open_) end();
    if (graph_ != nullptr) driver_.cuGraphDestroy(graph_);
  }
  RawCapture(const RawCapture&) = delete;
  RawCapture& operator=(const RawCapture&) = delete;

  // Success if nothing broke the capture.
  CUresult end() {
    open_ = false;
    return driver_.cuStreamEndCapture(stream_, &graph_);
  }
  CUgraph graph() const { return graph_; }

 private:
  const Driver& driver_;
  CUstream stream_;
  CUgraph graph_ = nullptr;
  bool open_ = true;
};

}  // namespace fourge::tests
