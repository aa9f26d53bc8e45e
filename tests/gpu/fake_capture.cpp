#include "tests/gpu/fake_capture.hpp"

#include <mutex>
#include <thread>

namespace fourge::tests::fake {
namespace {

std::mutex mutex;
thread_local CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
thread_local FakeStream per_thread;
char graph_object = 0;

bool is_legacy(CUstream stream) { return stream == nullptr || stream == CU_STREAM_LEGACY; }

FakeStream& at(CUstream stream) {
  return stream == CU_STREAM_PER_THREAD ? per_thread : *reinterpret_cast<FakeStream*>(stream);
}

bool forbids(const FakeStream& stream) {
  if (stream.status != CU_STREAM_CAPTURE_STATUS_ACTIVE) return false;
  if (thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED) return false;
  if (stream.mode != CU_STREAM_CAPTURE_MODE_RELAXED && stream.owner == std::this_thread::get_id()) {
    return true;
  }
  return stream.mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
         thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
}

}  // namespace

CUresult permit_unsafe(FakeCuda& fake) {
  const std::lock_guard lock(mutex);
  CUresult result = CUDA_SUCCESS;
  const auto look_at = [&](FakeStream& stream) {
    if (!forbids(stream)) return;
    stream.status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  };
  for (FakeStream& stream : fake.streams) look_at(stream);
  look_at(per_thread);
  return result;
}

CUresult stream_create(FakeCuda& fake, CUcontext current, CUstream* stream, unsigned flags) {
  const std::lock_guard lock(mutex);
  for (FakeStream& free : fake.streams) {
    if (free.used) continue;
    free = {};
    free.used = true;
    free.blocking = flags != CU_STREAM_NON_BLOCKING;
    free.context = current;
    *stream = reinterpret_cast<CUstream>(&free);
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult stream_destroy(FakeCuda&, CUstream stream) {
  const std::lock_guard lock(mutex);
  at(stream).used = false;
  return CUDA_SUCCESS;
}

CUresult begin_capture(FakeCuda&, CUstream stream, CUstreamCaptureMode mode) {
  if (is_legacy(stream)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  const std::lock_guard lock(mutex);
  FakeStream& begun = at(stream);
  if (begun.status != CU_STREAM_CAPTURE_STATUS_NONE) return CUDA_ERROR_ILLEGAL_STATE;
  begun.status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
  begun.mode = mode;
  begun.owner = std::this_thread::get_id();
  return CUDA_SUCCESS;
}

CUresult end_capture(FakeCuda&, CUstream stream, CUgraph* graph) {
  const std::lock_guard lock(mutex);
  FakeStream& ended = at(stream);
  if (ended.status == CU_STREAM_CAPTURE_STATUS_NONE) return CUDA_ERROR_ILLEGAL_STATE;
  if (ended.mode != CU_STREAM_CAPTURE_MODE_RELAXED && ended.owner != std::this_thread::get_id()) {
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  }
  const bool whole = ended.status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
  ended.status = CU_STREAM_CAPTURE_STATUS_NONE;
  *graph = whole ? reinterpret_cast<CUgraph>(&graph_object) : nullptr;
  return whole ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
}

CUresult is_capturing(FakeCuda& fake, CUcontext current, CUstream stream,
                      CUstreamCaptureStatus* status) {
  const std::lock_guard lock(mutex);
  *status = CU_STREAM_CAPTURE_STATUS_NONE;
  if (!is_legacy(stream)) {
    *status = at(stream).status;
    return CUDA_SUCCESS;
  }
  for (const FakeStream& other : fake.streams) {
    if (other.used && other.blocking && other.context == current &&
        other.status == CU_STREAM_CAPTURE_STATUS_ACTIVE) {
      return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
  }
  return CUDA_SUCCESS;
}

CUresult exchange_mode(CUstreamCaptureMode* mode) {
  std::swap(*mode, thread_mode);
  return CUDA_SUCCESS;
}

}  // namespace fourge::tests::fake
