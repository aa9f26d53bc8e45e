// Tensors of more than 2^31 elements on the device: inputs repeat a piece of rows, and a sample of rows of
// the output is looked at.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "reference/scale_layout.hpp"
#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace fourge::tests::huge {

using Bytes = std::vector<std::uint8_t>;
using Elements = std::vector<std::uint16_t>;
using reference::ElementType;

inline constexpr std::int64_t kCols = 7168;
inline constexpr std::int64_t kRows = 300032;  // whole tiles of 128 rows of scales
inline constexpr std::int64_t kPiece = 61;     // rows that repeat, a prime
inline constexpr std::int64_t kSkip = 97;      // of so many rows the first has no place
static_assert(kRows * kCols > std::int64_t{1} << 31);

inline constexpr std::uint8_t kUntouched = 0xA5;
inline constexpr std::size_t kMemory = std::size_t{28} << 30;

inline std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

template <class T>
Bytes bytes_of(const std::vector<T>& values) {
  Bytes bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}
inline Bytes bytes_of(float value) { return bytes_of(std::vector<float>{value}); }

// The row of the piece that a repeated tensor has there.
inline std::span<const std::uint16_t> piece_row(const Elements& piece, std::int64_t row) {
  const std::size_t width = piece.size() / kPiece;
  return std::span(piece).subspan(index(row % kPiece) * width, width);
}

inline Elements make_piece(std::int64_t cols, std::uint64_t seed) {
  return make_input(Pattern::random, ElementType::bf16, kPiece, cols, seed);
}

// Rows in device memory: untouched, or a piece repeated.
class DeviceRows {
 public:
  DeviceRows(const Stream& stream, std::size_t row_bytes)
      : stream_(&stream),
        row_bytes_(row_bytes),
        memory_(Gpu::get().context(), index(kRows) * row_bytes) {
    memory_.fill(kUntouched, stream.get());
  }
  template <class T>
  DeviceRows(const Stream& stream, const std::vector<T>& piece)
      : DeviceRows(stream, piece.size() * sizeof(T) / kPiece) {
    std::size_t filled = piece.size() * sizeof(T);
    memory_.upload(piece.data(), filled, stream.get());
    while (filled < memory_.size()) {
      const std::size_t more = std::min(filled, memory_.size() - filled);
      memory_.copy_from(memory_, more, stream.get(), 0, filled);
      filled += more;
    }
    stream.synchronize();
  }

  // Another last element.
  void put_last(std::uint16_t element) {
    memory_.upload(&element, sizeof(element), stream_->get(), memory_.size() - sizeof(element));
    stream_->synchronize();
  }

  std::uint8_t* data() const { return memory_.data(); }
  float* floats() const { return reinterpret_cast<float*>(memory_.data()); }
  Bytes row(std::int64_t row) const { return at(index(row) * row_bytes_, row_bytes_); }
  Bytes at(std::size_t offset, std::size_t count) const {
    Bytes bytes(count);
    memory_.download(bytes.data(), count, stream_->get(), offset);
    stream_->synchronize();
    return bytes;
  }
  bool untouched(std::int64_t r) const {
    const Bytes bytes = row(r);
    return std::all_of(bytes.begin(), bytes.end(), [](auto byte) { return byte == kUntouched; });
  }

 private:
  const Stream* stream_;
  std::size_t row_bytes_;
  DeviceBuffer memory_;
};

// A vector in device memory.
template <class T>
DeviceBuffer upload(const Stream& stream, const std::vector<T>& values) {
  DeviceBuffer memory(Gpu::get().context(), values.size() * sizeof(T));
  memory.upload(values.data(), memory.size(), stream.get());
  stream.synchronize();
  return memory;
}

// The block scales of a row, wherever the layout has them.
inline Bytes scale_row(const DeviceRows& scales, const reference::ScaleMatrix& matrix,
                       std::int64_t row) {
  const std::size_t first = matrix.offset(row, 0);
  const Bytes range = scales.at(first, matrix.offset(row, matrix.cols() - 1) - first + 1);
  Bytes bytes;
  for (std::int64_t c = 0; c < matrix.cols(); ++c) {
    bytes.push_back(range[matrix.offset(row, c) - first]);
  }
  return bytes;
}

// The first rows and the last, and those around 2^31 and 2^32 of tensors with so many bytes a row.
inline std::vector<std::int64_t> sample() {
  std::vector<std::int64_t> rows{0, 1, kSkip, kRows - 2, kRows - 1};
  for (const std::int64_t row_bytes : {kCols / 2, kCols, 2 * kCols, 4 * kCols}) {
    for (const int bits : {31, 32, 33}) {
      for (const std::int64_t near : {-1, 0, 1}) {
        const std::int64_t row = (std::int64_t{1} << bits) / row_bytes + near;
        if (row < kRows) rows.push_back(row);
      }
    }
  }
  return rows;
}

// Where an entry goes, and which one lies in a row: from the other end, so that reads and writes cross.
inline std::int64_t turned(std::int64_t i) { return kRows - 1 - i; }
inline bool skipped(std::int64_t row) { return row % kSkip == 0; }
inline std::vector<std::int32_t> turned_map() {
  std::vector<std::int32_t> map;
  for (std::int64_t row = 0; row < kRows; ++row) {
    map.push_back(skipped(row) ? -1 : static_cast<std::int32_t>(turned(row)));
  }
  return map;
}

inline Kernel prepare(const std::string& text) {
  Gpu& gpu = Gpu::get();
  return gpu.runtime().prepare(KernelSpec::parse(text, gpu.target()));
}

inline bool has_memory() {
  if (Gpu::get().info().memory_bytes >= kMemory) return true;
  WARN("the device has less than 28 GiB: not checked");
  return false;
}

}  // namespace fourge::tests::huge
