// Primary contexts of the make-believe libcuda: who retains them.
#include <cstring>

#include "tests/gpu/fake_calls.hpp"

namespace fourge::tests::fake {
namespace {

std::atomic<int>& retains_of(CUdevice device) {
  return state().primary_retains_of[static_cast<std::size_t>(device)];
}

CUresult retain(CUcontext* context, CUdevice device) {
  RECORD("cuDevicePrimaryCtxRetain");
  ++state().primary_retains;
  ++retains_of(device);
  *context = primary_context(device);
  return CUDA_SUCCESS;
}

CUresult release(CUdevice device) {
  RECORD("cuDevicePrimaryCtxRelease");
  --state().primary_retains;
  --retains_of(device);
  return CUDA_SUCCESS;
}

CUresult get_state(CUdevice device, unsigned* flags, int* active) {
  RECORD("cuDevicePrimaryCtxGetState");
  *flags = 0;
  *active = retains_of(device) > 0 ? 1 : 0;
  return CUDA_SUCCESS;
}

}  // namespace

int current_primary() {
  for (CUdevice device = 0; device < 4; ++device) {
    if (current() == primary_context(device)) return device;
  }
  return -1;
}

void* find_primary_call(const char* name) {
  if (std::strcmp(name, "cuDevicePrimaryCtxRetain") == 0) return reinterpret_cast<void*>(retain);
  if (std::strcmp(name, "cuDevicePrimaryCtxRelease") == 0) return reinterpret_cast<void*>(release);
  if (std::strcmp(name, "cuDevicePrimaryCtxGetState") == 0) {
    return reinterpret_cast<void*>(get_state);
  }
  return nullptr;
}

}  // namespace fourge::tests::fake
