// Streams and stream capture of the make-believe libcuda: who captures what, and which calls are not
// permitted meanwhile, by the driver's documentation. A call that is not permitted invalidates the
// captures that forbid it.
#pragma once

#include <cuda.h>

#include <array>
#include <cstddef>

#include "tests/gpu/fake_cuda.hpp"

namespace fourge::tests::fake {

// What potentially unsafe calls begin with: CUDA_SUCCESS, or what the driver says instead.
CUresult permit_unsafe(FakeCuda& fake);

CUresult stream_create(FakeCuda& fake, CUcontext current, CUstream* stream, unsigned flags);
CUresult stream_destroy(FakeCuda& fake, CUstream stream);
CUresult begin_capture(FakeCuda& fake, CUstream stream, CUstreamCaptureMode mode);
CUresult end_capture(FakeCuda& fake, CUstream stream, CUgraph* graph);
CUresult is_capturing(FakeCuda& fake, CUcontext current, CUstream stream,
                      CUstreamCaptureStatus* status);
CUresult exchange_mode(CUstreamCaptureMode* mode);

}  // namespace fourge::tests::fake
