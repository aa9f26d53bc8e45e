// Host memory aligned as kernels ask for it.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>

namespace fourge::tools {

// A block of bytes of fixed size, 64-byte aligned, not initialised. Movable, not copyable. data()
// is not null even when the size is 0.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t size = 0)
      : data_(static_cast<std::byte*>(
            ::operator new (size == 0 ? 1 : size, std::align_val_t{kAlignment}))),
        size_(size) {}

  std::byte* data() noexcept { return data_.get(); }
  const std::byte* data() const noexcept { return data_.get(); }
  std::size_t size() const noexcept { return size_; }

  // The bytes as values of a type that any bits are valid for.
  template <class T>
  std::span<T> as() noexcept {
    return {reinterpret_cast<T*>(data()), size_ / sizeof(T)};
  }
  template <class T>
  std::span<const T> as() const noexcept {
    return {reinterpret_cast<const T*>(data()), size_ / sizeof(T)};
  }

 private:
  static constexpr std::size_t kAlignment = 64;
  struct Free {
    void operator()(std::byte* pointer) const noexcept {
      ::operator delete (pointer, std::align_val_t{kAlignment});
    }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_;
};

}  // namespace fourge::tools
