#include "runtime/comm/peer_memory.hpp"

#include <fmt/format.h>

#include <cstring>
#include <fourge/error.hpp>
#include <utility>

#include "runtime/driver/capture.hpp"

namespace fourge::comm {
namespace {

// Makes the context current while something is freed; false if it is gone, and its memory with it.
class FreeScope {
 public:
  FreeScope(const Driver& driver, CUcontext context) noexcept
      : driver_(driver),
        relaxed_(driver),
        pushed_(driver.cuCtxPushCurrent(context) == CUDA_SUCCESS) {}
  ~FreeScope() {
    CUcontext popped = nullptr;
    if (pushed_) driver_.cuCtxPopCurrent(&popped);
  }
  FreeScope(const FreeScope&) = delete;
  FreeScope& operator=(const FreeScope&) = delete;
  explicit operator bool() const noexcept { return pushed_; }

 private:
  const Driver& driver_;
  const detail::RelaxedCapture relaxed_;
  const bool pushed_;
};

}  // namespace

ContextScope::ContextScope(const Driver& driver, CUcontext context) : driver_(driver) {
  CUcontext current = nullptr;
  driver.check(driver.cuCtxGetCurrent(&current), "cuCtxGetCurrent");
  if (current != context) {
    driver.check(driver.cuCtxPushCurrent(context), "cuCtxPushCurrent");
    pushed_ = true;
  }
}

ContextScope::~ContextScope() {
  CUcontext popped = nullptr;
  if (pushed_) driver_.cuCtxPopCurrent(&popped);
}

DeviceMemory::DeviceMemory(std::shared_ptr<const Driver> driver, CUcontext context,
                           std::size_t bytes)
    : driver_(std::move(driver)), context_(context), bytes_(bytes) {
  const ContextScope scope(*driver_, context_);
  driver_->check(driver_->cuMemAlloc(&pointer_, bytes), "cuMemAlloc",
                 fmt::format("{} bytes for a group of ranks", bytes));
}

DeviceMemory::~DeviceMemory() {
  if (pointer_ == 0) return;
  if (const FreeScope scope(*driver_, context_); scope) driver_->cuMemFree(pointer_);
}

DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : driver_(other.driver_),
      context_(other.context_),
      pointer_(std::exchange(other.pointer_, 0)),
      bytes_(std::exchange(other.bytes_, 0)) {}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(driver_, other.driver_);
  std::swap(context_, other.context_);
  std::swap(pointer_, other.pointer_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedHostMemory::MappedHostMemory(std::shared_ptr<const Driver> driver, CUcontext context,
                                   std::size_t bytes)
    : driver_(std::move(driver)), context_(context) {
  const ContextScope scope(*driver_, context_);
  driver_->check(
      driver_->cuMemHostAlloc(&host_, bytes, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP),
      "cuMemHostAlloc", fmt::format("{} bytes for a group's report", bytes));
  std::memset(host_, 0, bytes);
  const CUresult result = driver_->cuMemHostGetDevicePointer(&device_, host_, 0);
  if (result != CUDA_SUCCESS) {
    driver_->cuMemFreeHost(host_);
    driver_->fail(result, "cuMemHostGetDevicePointer", "a group's report");
  }
}

MappedHostMemory::~MappedHostMemory() {
  if (host_ == nullptr) return;
  if (const FreeScope scope(*driver_, context_); scope) driver_->cuMemFreeHost(host_);
}

MappedHostMemory::MappedHostMemory(MappedHostMemory&& other) noexcept
    : driver_(other.driver_),
      context_(other.context_),
      host_(std::exchange(other.host_, nullptr)),
      device_(std::exchange(other.device_, 0)) {}

MappedHostMemory& MappedHostMemory::operator=(MappedHostMemory&& other) noexcept {
  std::swap(driver_, other.driver_);
  std::swap(context_, other.context_);
  std::swap(host_, other.host_);
  std::swap(device_, other.device_);
  return *this;
}

OwnMemory::OwnMemory(const std::shared_ptr<const GroupContext>& context, std::size_t bytes,
                     int local_peers, bool exported) {
  const std::size_t allocated = workspace_allocation(bytes);
  block_ = new SharedBlock(context, allocated, 1 + local_peers);
  handle_.block = reinterpret_cast<std::uintptr_t>(block_);
  handle_.bytes = allocated;
  if (!exported) return;
  const std::shared_ptr<const Driver>& driver = context->driver();
  try {
    if (driver->cuIpcGetMemHandle == nullptr) {
      throw Error(ErrorKind::unsupported,
                  fmt::format("the CUDA driver {} has no cuIpcGetMemHandle, which ranks in several "
                              "processes need",
                              driver->path()));
    }
    const ContextScope scope(*driver, context->get());
    CUipcMemHandle ipc{};
    driver->check(driver->cuIpcGetMemHandle(&ipc, block_->memory().get()), "cuIpcGetMemHandle");
    static_assert(sizeof(ipc) == sizeof(handle_.ipc));
    std::memcpy(handle_.ipc.data(), &ipc, sizeof(ipc));
  } catch (...) {
    drop_references(1 + local_peers);
    throw;
  }
}

OwnMemory::~OwnMemory() {
  if (block_ != nullptr) block_->release();
}

OwnMemory::OwnMemory(OwnMemory&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)), handle_(other.handle_) {}

OwnMemory& OwnMemory::operator=(OwnMemory&& other) noexcept {
  std::swap(block_, other.block_);
  std::swap(handle_, other.handle_);
  return *this;
}

void OwnMemory::drop_references(int count) noexcept {
  for (int i = 0; i < count; ++i) block_->release();
}

PeerMemory::PeerMemory(const std::shared_ptr<const Driver>& driver, CUcontext context,
                       const MemoryHandle& handle, bool same_process)
    : driver_(driver), context_(context) {
  if (same_process) {
    block_ = reinterpret_cast<SharedBlock*>(static_cast<std::uintptr_t>(handle.block));
  }
  try {
    const ContextScope scope(*driver, context);
    same_process ? enable_access() : open(handle);
  } catch (...) {
    close();
    throw;
  }
}

void PeerMemory::open(const MemoryHandle& handle) {
  const Driver& driver = *driver_;
  if (driver.cuIpcOpenMemHandle == nullptr || driver.cuIpcCloseMemHandle == nullptr) {
    throw Error(ErrorKind::unsupported,
                fmt::format("the CUDA driver {} has no cuIpcOpenMemHandle, which ranks in several "
                            "processes need",
                            driver.path()));
  }
  CUipcMemHandle ipc{};
  std::memcpy(&ipc, handle.ipc.data(), sizeof(ipc));
  CUdeviceptr opened = 0;
  driver.check(driver.cuIpcOpenMemHandle(&opened, ipc, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
               "cuIpcOpenMemHandle", "a peer's workspace");
  pointer_ = opened;
}

void PeerMemory::enable_access() {
  pointer_ = block_->memory().get();
  if (block_->context() == context_) return;  // ranks that share a device
  const CUresult result = driver_->cuCtxEnablePeerAccess == nullptr
                              ? CUDA_ERROR_NOT_SUPPORTED
                              : driver_->cuCtxEnablePeerAccess(block_->context(), 0);
  if (result != CUDA_SUCCESS && result != CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED) {
    driver_->fail(result, "cuCtxEnablePeerAccess", "a peer's workspace");
  }
}

void PeerMemory::close() noexcept {
  if (block_ != nullptr) {
    std::exchange(block_, nullptr)->release();
  } else if (pointer_ != 0) {
    if (const FreeScope scope(*driver_, context_); scope) driver_->cuIpcCloseMemHandle(pointer_);
  }
  pointer_ = 0;
}

PeerMemory::~PeerMemory() { close(); }

PeerMemory::PeerMemory(PeerMemory&& other) noexcept
    : driver_(other.driver_),
      context_(other.context_),
      pointer_(std::exchange(other.pointer_, 0)),
      block_(std::exchange(other.block_, nullptr)) {}

PeerMemory& PeerMemory::operator=(PeerMemory&& other) noexcept {
  std::swap(driver_, other.driver_);
  std::swap(context_, other.context_);
  std::swap(pointer_, other.pointer_);
  std::swap(block_, other.block_);
  return *this;
}

std::size_t workspace_allocation(std::size_t bytes) noexcept {
  const std::size_t wanted = bytes == 0 ? 1 : bytes;
  return (wanted + kWorkspaceGranularity - 1) / kWorkspaceGranularity * kWorkspaceGranularity;
}

}  // namespace fourge::comm
