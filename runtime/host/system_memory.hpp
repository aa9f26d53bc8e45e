// Memory that several emulated devices use, as the blocks of one of them see it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fourge::host {

// Called by running blocks, each on an OS thread of its own, which it may keep waiting.
class SystemMemory {
 public:
  // Who stores: a thread of a block, and how many barriers the block has passed.
  struct Origin {
    const void* block;
    unsigned thread;
    std::uint64_t barriers;
  };

  SystemMemory() = default;
  virtual ~SystemMemory() = default;
  SystemMemory(const SystemMemory&) = delete;
  SystemMemory& operator=(const SystemMemory&) = delete;

  virtual void store(const Origin& origin, void* address, const void* data, std::size_t bytes,
                     bool is_release) = 0;
  virtual void load(const Origin& origin, const void* address, void* data, std::size_t bytes) = 0;
  virtual std::uint64_t nanoseconds() = 0;
  // The block has passed a barrier.
  virtual void barrier(const void* block) = 0;
};

}  // namespace fourge::host
