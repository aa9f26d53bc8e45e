// Memory that several emulated devices use, as one block of one of them sees it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fourge::host {

// Called by a running block; each call may keep it waiting, while others run (BlockRunner::pause()), and may throw.
class SystemMemory {
 public:
  // Who stores: a thread of the block, and how many barriers the block has passed.
  struct Origin {
    unsigned thread;
    std::uint64_t barriers;
  };

  SystemMemory() = default;
  virtual ~SystemMemory() = default;
  SystemMemory(const SystemMemory&) = delete;
  SystemMemory& operator=(const SystemMemory&) = delete;

  virtual void store(const Origin& origin, void* address, const void* data, std::size_t bytes,
                     bool is_release) = 0;
  virtual void load(const void* address, void* data, std::size_t bytes) = 0;
  virtual std::uint64_t nanoseconds() = 0;
  // The block has passed a barrier.
  virtual void barrier() = 0;
};

}  // namespace fourge::host
