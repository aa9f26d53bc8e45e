// Integers as little-endian bytes, whatever the machine's own order is.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string>

namespace fourge::cache {

template <std::unsigned_integral T>
void append_little_endian(std::string& stream, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    stream += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
}

template <std::unsigned_integral T>
T load_little_endian(std::span<const std::byte, sizeof(T)> bytes) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<T>(std::to_integer<T>(bytes[i]) << (8 * i));
  }
  return value;
}

}  // namespace fourge::cache
