// A rank's workspace and the peers' workspaces as it sees them.
//
// Handles travel through an all-gather of bytes, so it is ordinary device memory: between processes a CUDA
// IPC handle is 64 bytes that any process of the host can open, and within a process the address itself
// serves once peer access is enabled, in one context even without. (Memory of the virtual memory API has file descriptors for handles,
// which need a socket of our own or the right to take them from another process.)
//
// A workspace that ranks of one process share is freed when the last of them lets go, and its context stays until
// then, so that a rank that ends while a peer still writes takes nothing away from it. Between processes the driver keeps memory
// that another process has open. Nothing here waits for another rank.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include "runtime/comm/group_context.hpp"
#include "runtime/driver/driver.hpp"

namespace fourge::comm {

// Makes a context current for the calling thread, as long as it lives.
class ContextScope {
 public:
  ContextScope(const Driver& driver, CUcontext context);
  ~ContextScope();
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  const Driver& driver_;
  bool pushed_ = false;  // it was not current before
};

// Device memory of one context; freed there, whatever the thread has current.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(std::shared_ptr<const Driver> driver, CUcontext context, std::size_t bytes);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  CUdeviceptr get() const noexcept { return pointer_; }
  std::size_t bytes() const noexcept { return bytes_; }
  void* data() const noexcept {
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(pointer_));
  }

 private:
  std::shared_ptr<const Driver> driver_;
  CUcontext context_ = nullptr;
  CUdeviceptr pointer_ = 0;
  std::size_t bytes_ = 0;
};

// Host memory that the device writes to.
class MappedHostMemory {
 public:
  MappedHostMemory() = default;
  MappedHostMemory(std::shared_ptr<const Driver> driver, CUcontext context, std::size_t bytes);
  ~MappedHostMemory();
  MappedHostMemory(MappedHostMemory&& other) noexcept;
  MappedHostMemory& operator=(MappedHostMemory&& other) noexcept;
  MappedHostMemory(const MappedHostMemory&) = delete;
  MappedHostMemory& operator=(const MappedHostMemory&) = delete;

  void* host() const noexcept { return host_; }
  void* device() const noexcept {
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(device_));
  }

 private:
  std::shared_ptr<const Driver> driver_;
  CUcontext context_ = nullptr;
  void* host_ = nullptr;
  CUdeviceptr device_ = 0;
};

// Of a workspace, for the other ranks.
struct MemoryHandle {
  std::array<unsigned char, 64> ipc{};  // for other processes
  std::uint64_t block = 0;              // for ranks of this one
  std::uint64_t bytes = 0;
};
static_assert(std::is_trivially_copyable_v<MemoryHandle>);

// Device memory with a count of the ranks of this process that use it. Its context goes after it.
class SharedBlock {
 public:
  SharedBlock(std::shared_ptr<const GroupContext> context, std::size_t bytes, int references)
      : context_(std::move(context)),
        memory_(context_->driver(), context_->get(), bytes),
        references_(references) {}
  void release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  CUcontext context() const noexcept { return context_->get(); }
  const DeviceMemory& memory() const noexcept { return memory_; }

 private:
  ~SharedBlock() = default;

  std::shared_ptr<const GroupContext> context_;
  DeviceMemory memory_;
  std::atomic<int> references_;
};

// This rank's own workspace.
class OwnMemory {
 public:
  OwnMemory() = default;
  // `local_peers`: other ranks of this process, each of which gets one reference. exported: for others,
  // too. Throws DriverError, Error(unsupported) if the driver has no IPC.
  OwnMemory(const std::shared_ptr<const GroupContext>& context, std::size_t bytes, int local_peers,
            bool exported);
  ~OwnMemory();
  OwnMemory(OwnMemory&& other) noexcept;
  OwnMemory& operator=(OwnMemory&& other) noexcept;
  OwnMemory(const OwnMemory&) = delete;
  OwnMemory& operator=(const OwnMemory&) = delete;

  const MemoryHandle& handle() const noexcept { return handle_; }
  CUdeviceptr get() const noexcept { return block_->memory().get(); }
  // The references of local peers that never got the handle, as everybody knows.
  void drop_references(int count) noexcept;

 private:
  SharedBlock* block_ = nullptr;
  MemoryHandle handle_;
};

// A peer's workspace in this rank's address space.
class PeerMemory {
 public:
  PeerMemory() = default;
  // Takes the reference that the handle stands for, whether it throws or not.
  PeerMemory(const std::shared_ptr<const Driver>& driver, CUcontext context,
             const MemoryHandle& handle, bool same_process);
  ~PeerMemory();
  PeerMemory(PeerMemory&& other) noexcept;
  PeerMemory& operator=(PeerMemory&& other) noexcept;
  PeerMemory(const PeerMemory&) = delete;
  PeerMemory& operator=(const PeerMemory&) = delete;

  CUdeviceptr get() const noexcept { return pointer_; }

 private:
  void open(const MemoryHandle& handle);
  void enable_access();
  void close() noexcept;

  std::shared_ptr<const Driver> driver_;
  CUcontext context_ = nullptr;
  CUdeviceptr pointer_ = 0;
  SharedBlock* block_ = nullptr;  // of this process; else the pointer is an opened IPC handle
};

// What a workspace is rounded up to: the driver puts smaller pieces together in blocks of this size, and an
// IPC handle stands for a whole block.
inline constexpr std::size_t kWorkspaceGranularity = std::size_t{2} << 20U;
std::size_t workspace_allocation(std::size_t bytes) noexcept;

}  // namespace fourge::comm
