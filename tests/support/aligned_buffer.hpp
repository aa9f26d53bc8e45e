// Host memory aligned as device allocations are.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

namespace fourge::tests {

class AlignedBuffer {
 public:
  AlignedBuffer(std::size_t size, std::uint8_t fill) : size_(size), memory_(allocate(size)) {
    std::memset(memory_.get(), fill, size);
  }
  AlignedBuffer(const void* source, std::size_t size) : size_(size), memory_(allocate(size)) {
    if (size != 0) {
      std::memcpy(memory_.get(), source, size);
    }
  }

  std::uint8_t* data() { return memory_.get(); }
  const std::uint8_t* data() const { return memory_.get(); }
  std::vector<std::uint8_t> bytes() const { return {memory_.get(), memory_.get() + size_}; }

 private:
  static constexpr std::align_val_t kAlignment{256};
  struct Delete {
    void operator()(std::uint8_t* p) const { ::operator delete[](p, kAlignment); }
  };
  static std::uint8_t* allocate(std::size_t size) {
    return static_cast<std::uint8_t*>(::operator new[](size + 1, kAlignment));
  }

  std::size_t size_;
  std::unique_ptr<std::uint8_t, Delete> memory_;
};

}  // namespace fourge::tests
