// Where the block scale of row r and scale column c lies in the scale buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge::reference {

enum class ScaleLayout { linear, tiled_128x4, tiled_8x4 };

// The texts of kernel specs: "linear", "128x4", "8x4". Throws std::invalid_argument for another.
ScaleLayout parse_scale_layout(std::string_view text);
const char* to_string(ScaleLayout layout) noexcept;

// A matrix of block scales, one byte each, in some layout. The tiled layouts pad rows to a multiple
// of the tile's height and columns to a multiple of 4; padding bytes are zero.
class ScaleMatrix {
 public:
  // Throws std::invalid_argument for a negative extent.
  ScaleMatrix(ScaleLayout layout, std::int64_t rows, std::int64_t cols);

  ScaleLayout layout() const noexcept { return layout_; }
  std::int64_t rows() const noexcept { return rows_; }
  std::int64_t cols() const noexcept { return cols_; }
  std::int64_t padded_rows() const noexcept;
  std::int64_t padded_cols() const noexcept;

  // Size of the buffer, padding included.
  std::size_t bytes() const noexcept;
  // Byte offset; 0 <= row < padded_rows(), 0 <= col < padded_cols().
  std::size_t offset(std::int64_t row, std::int64_t col) const noexcept;

 private:
  ScaleLayout layout_;
  std::int64_t rows_;
  std::int64_t cols_;
};

}  // namespace fourge::reference
