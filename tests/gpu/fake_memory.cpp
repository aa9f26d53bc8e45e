// Memory of the make-believe libcuda: real bytes of the host, so that tests can look at what is in them.
#include "tests/gpu/fake_calls.hpp"
#include "tests/gpu/fake_capture.hpp"

#include <cstdlib>
#include <cstring>
#include <mutex>

namespace fourge::tests::fake {
namespace {

constexpr std::size_t kAlignment = 256;

FakeAllocation* find(FakeCuda& fake, CUdeviceptr pointer) {
  for (FakeAllocation& allocation : fake.memory) {
    const auto begin = reinterpret_cast<std::uintptr_t>(allocation.pointer);
    if (begin != 0 && pointer >= begin && pointer < begin + allocation.bytes) return &allocation;
  }
  return nullptr;
}

FakeAllocation* free_place(FakeCuda& fake) {
  for (FakeAllocation& allocation : fake.memory) {
    if (allocation.pointer == nullptr) return &allocation;
  }
  return nullptr;
}

CUresult add(FakeCuda& fake, bool host, std::size_t bytes, void** pointer) {
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  const std::lock_guard lock(fake.memory_mutex);
  FakeAllocation* const place = free_place(fake);
  if (place == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  const std::size_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  *place = {};
  place->pointer = std::aligned_alloc(kAlignment, size);
  place->bytes = bytes;
  place->host = host;
  place->primary = current_primary();
  if (place->pointer == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  std::memset(place->pointer, 0xA5, bytes);
  *pointer = place->pointer;
  return CUDA_SUCCESS;
}

CUresult remove(FakeCuda& fake, bool host, CUdeviceptr pointer) {
  const std::lock_guard lock(fake.memory_mutex);
  FakeAllocation* const found = find(fake, pointer);
  if (found == nullptr || reinterpret_cast<std::uintptr_t>(found->pointer) != pointer ||
      found->host != host) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  // The driver has freed it with its context; here it stays, and live() tells.
  if (found->primary >= 0 &&
      fake.primary_retains_of[static_cast<std::size_t>(found->primary)] == 0) {
    return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  }
  std::free(found->pointer);
  *found = {};
  return CUDA_SUCCESS;
}

CUresult allocate(FakeCuda& fake, CUdeviceptr* pointer, std::size_t bytes) {
  void* made = nullptr;
  const CUresult result = add(fake, false, bytes, &made);
  *pointer = reinterpret_cast<std::uintptr_t>(made);
  return result;
}

CUresult release(FakeCuda& fake, CUdeviceptr pointer) { return remove(fake, false, pointer); }

CUresult allocate_host(FakeCuda& fake, void** pointer, std::size_t bytes) {
  return add(fake, true, bytes, pointer);
}

CUresult release_host(FakeCuda& fake, void* pointer) {
  return remove(fake, true, reinterpret_cast<std::uintptr_t>(pointer));
}

// A handle is the address. Opening it in the process that made it gives the same address again, which the
// driver would refuse: the tests' processes are threads.
CUresult get_handle(FakeCuda& fake, CUipcMemHandle* handle, CUdeviceptr pointer) {
  const std::lock_guard lock(fake.memory_mutex);
  FakeAllocation* const found = find(fake, pointer);
  if (found == nullptr || found->host) return CUDA_ERROR_INVALID_VALUE;
  std::memset(handle, 0, sizeof(*handle));
  std::memcpy(handle->reserved, &pointer, sizeof(pointer));
  return CUDA_SUCCESS;
}

CUresult open_handle(FakeCuda& fake, CUdeviceptr* pointer, CUipcMemHandle handle, unsigned flags) {
  const std::lock_guard lock(fake.memory_mutex);
  CUdeviceptr wanted = 0;
  std::memcpy(&wanted, handle.reserved, sizeof(wanted));
  FakeAllocation* const found = find(fake, wanted);
  if (found == nullptr && fake.foreign_handles) {
    FakeAllocation* const place = free_place(fake);
    if (place == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
    *place = {std::aligned_alloc(kAlignment, kAlignment), kAlignment, false, 0};
    place->foreign = true;
    ++fake.open_handles;
    *pointer = reinterpret_cast<std::uintptr_t>(place->pointer);
    return CUDA_SUCCESS;
  }
  if (found == nullptr || flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  ++found->opened;
  ++fake.open_handles;
  *pointer = wanted;
  return CUDA_SUCCESS;
}

CUresult close_handle(FakeCuda& fake, CUdeviceptr pointer) {
  const std::lock_guard lock(fake.memory_mutex);
  FakeAllocation* const found = find(fake, pointer);
  if (found != nullptr && found->foreign) {
    --fake.open_handles;
    std::free(found->pointer);
    *found = {};
    return CUDA_SUCCESS;
  }
  if (found == nullptr || found->opened == 0) return CUDA_ERROR_INVALID_VALUE;
  --found->opened;
  --fake.open_handles;
  return CUDA_SUCCESS;
}

// Of what was allocated here; other addresses are left alone.
CUresult fill(FakeCuda& fake, CUdeviceptr pointer, unsigned value, std::size_t size,
              std::size_t count) {
  const std::lock_guard lock(fake.memory_mutex);
  const FakeAllocation* const found = find(fake, pointer);
  if (found == nullptr) return CUDA_SUCCESS;
  const auto end = reinterpret_cast<std::uintptr_t>(found->pointer) + found->bytes;
  if (pointer + size * count > end) return CUDA_ERROR_INVALID_VALUE;
  auto* const bytes = reinterpret_cast<unsigned char*>(static_cast<std::uintptr_t>(pointer));
  if (size == 1) std::memset(bytes, static_cast<int>(value), count);
  for (std::size_t i = 0; size != 1 && i < count; ++i) {
    std::memcpy(bytes + i * size, &value, size);
  }
  return CUDA_SUCCESS;
}

CUresult can_access_peer(int* can, CUdevice device, CUdevice peer) {
  RECORD("cuDeviceCanAccessPeer");
  const auto a = static_cast<std::size_t>(device);
  const auto b = static_cast<std::size_t>(peer);
  *can = device != peer && !state().no_access[a][b] ? 1 : 0;
  return CUDA_SUCCESS;
}

CUresult memory_allocate(CUdeviceptr* pointer, std::size_t bytes) {
  RECORD_UNSAFE("cuMemAlloc");
  return allocate(state(), pointer, bytes);
}

CUresult memory_free(CUdeviceptr pointer) {
  RECORD_UNSAFE("cuMemFree");
  return release(state(), pointer);
}

CUresult host_allocate(void** pointer, std::size_t bytes, unsigned flags) {
  RECORD_UNSAFE("cuMemHostAlloc");
  if ((flags & CU_MEMHOSTALLOC_DEVICEMAP) == 0) return CUDA_ERROR_INVALID_VALUE;
  return allocate_host(state(), pointer, bytes);
}

CUresult host_device_pointer(CUdeviceptr* pointer, void* host, unsigned flags) {
  RECORD("cuMemHostGetDevicePointer");
  *pointer = reinterpret_cast<std::uintptr_t>(host);
  return flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult host_free(void* pointer) {
  RECORD_UNSAFE("cuMemFreeHost");
  return release_host(state(), pointer);
}

CUresult memset_8(CUdeviceptr pointer, unsigned char value, std::size_t count) {
  RECORD("cuMemsetD8");
  return fill(state(), pointer, value, 1, count);
}

CUresult memset_32(CUdeviceptr pointer, unsigned value, std::size_t count) {
  RECORD("cuMemsetD32");
  return fill(state(), pointer, value, 4, count);
}

// Copies and fills of streams are done at once.
CUresult memset_8_async(CUdeviceptr pointer, unsigned char value, std::size_t count, CUstream) {
  RECORD("cuMemsetD8Async");
  return fill(state(), pointer, value, 1, count);
}

// Whether the bytes lie in an allocation; what the fake did not allocate is left alone.
bool is_allocated(CUdeviceptr pointer, std::size_t bytes) {
  const std::lock_guard lock(state().memory_mutex);
  const FakeAllocation* const found = find(state(), pointer);
  return found != nullptr &&
         pointer + bytes <= reinterpret_cast<std::uintptr_t>(found->pointer) + found->bytes;
}

void* host_pointer(CUdeviceptr pointer) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(pointer));
}

CUresult upload_async(CUdeviceptr to, const void* from, std::size_t bytes, CUstream) {
  RECORD("cuMemcpyHtoDAsync");
  if (is_allocated(to, bytes)) std::memcpy(host_pointer(to), from, bytes);
  return CUDA_SUCCESS;
}

CUresult download_async(void* to, CUdeviceptr from, std::size_t bytes, CUstream) {
  RECORD("cuMemcpyDtoHAsync");
  if (is_allocated(from, bytes)) std::memcpy(to, host_pointer(from), bytes);
  return CUDA_SUCCESS;
}

CUresult ipc_get(CUipcMemHandle* handle, CUdeviceptr pointer) {
  RECORD("cuIpcGetMemHandle");
  return get_handle(state(), handle, pointer);
}

CUresult ipc_open(CUdeviceptr* pointer, CUipcMemHandle handle, unsigned flags) {
  RECORD_UNSAFE("cuIpcOpenMemHandle");
  return open_handle(state(), pointer, handle, flags);
}

CUresult ipc_close(CUdeviceptr pointer) {
  RECORD_UNSAFE("cuIpcCloseMemHandle");
  return close_handle(state(), pointer);
}

// The second time for one pair of contexts is an error that callers expect.
CUresult enable_peer(CUcontext peer, unsigned flags) {
  RECORD("cuCtxEnablePeerAccess");
  if (current() == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (peer == current()) return CUDA_ERROR_INVALID_DEVICE;
  return state().peer_enables++ % 2 == 0 ? CUDA_SUCCESS : CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
}

template <class Function>
void* address(Function* function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace

void* find_memory_call(const char* name) {
  struct Entry {
    const char* name;
    void* function;
  };
  const Entry entries[] = {
      {"cuDeviceCanAccessPeer", address(can_access_peer)},
      {"cuCtxEnablePeerAccess", address(enable_peer)},
      {"cuMemAlloc", address(memory_allocate)},
      {"cuMemFree", address(memory_free)},
      {"cuMemHostAlloc", address(host_allocate)},
      {"cuMemHostGetDevicePointer", address(host_device_pointer)},
      {"cuMemFreeHost", address(host_free)},
      {"cuMemsetD8", address(memset_8)},
      {"cuMemsetD32", address(memset_32)},
      {"cuMemsetD8Async", address(memset_8_async)},
      {"cuMemcpyHtoDAsync", address(upload_async)},
      {"cuMemcpyDtoHAsync", address(download_async)},
      {"cuIpcGetMemHandle", address(ipc_get)},
      {"cuIpcOpenMemHandle", address(ipc_open)},
      {"cuIpcCloseMemHandle", address(ipc_close)},
  };
  for (const Entry& entry : entries) {
    if (std::strcmp(entry.name, name) == 0) return entry.function;
  }
  return nullptr;
}

}  // namespace fourge::tests::fake
