#include "reference/scale_layout.hpp"

#include <stdexcept>
#include <string>

namespace fourge::reference {
namespace {

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

ScaleLayout parse_scale_layout(std::string_view text) {
  for (const ScaleLayout layout :
       {ScaleLayout::linear, ScaleLayout::tiled_128x4, ScaleLayout::tiled_8x4}) {
    if (text == to_string(layout)) {
      return layout;
    }
  }
  throw std::invalid_argument("unknown scale layout '" + std::string(text) +
                              "': known are linear, 128x4, 8x4");
}

const char* to_string(ScaleLayout layout) noexcept {
  switch (layout) {
    case ScaleLayout::linear:
      return "linear";
    case ScaleLayout::tiled_128x4:
      return "128x4";
    case ScaleLayout::tiled_8x4:
      return "8x4";
  }
  return "?";
}

ScaleMatrix::ScaleMatrix(ScaleLayout layout, std::int64_t rows, std::int64_t cols)
    : layout_(layout), rows_(rows), cols_(cols) {
  if (rows < 0 || cols < 0) {
    throw std::invalid_argument("a scale matrix cannot have " + std::to_string(rows) +
                                " rows and " + std::to_string(cols) + " columns");
  }
}

std::int64_t ScaleMatrix::padded_rows() const noexcept {
  switch (layout_) {
    case ScaleLayout::linear:
      return rows_;
    case ScaleLayout::tiled_128x4:
      return round_up(rows_, 128);
    case ScaleLayout::tiled_8x4:
      return round_up(rows_, 8);
  }
  return 0;
}

std::int64_t ScaleMatrix::padded_cols() const noexcept {
  return layout_ == ScaleLayout::linear ? cols_ : round_up(cols_, 4);
}

std::size_t ScaleMatrix::bytes() const noexcept {
  return static_cast<std::size_t>(padded_rows()) * static_cast<std::size_t>(padded_cols());
}

std::size_t ScaleMatrix::offset(std::int64_t row, std::int64_t col) const noexcept {
  const std::int64_t tiles_per_row = padded_cols() / 4;
  std::int64_t result = 0;
  switch (layout_) {
    case ScaleLayout::linear:
      result = row * cols_ + col;
      break;
    case ScaleLayout::tiled_128x4:  // tiles of 512 bytes; within one, rows 32 apart lie together
      result = (row / 128) * tiles_per_row * 512 + (col / 4) * 512 + (row % 32) * 16 +
               ((row % 128) / 32) * 4 + (col % 4);
      break;
    case ScaleLayout::tiled_8x4:  // tiles of 32 bytes
      result = (row / 8) * tiles_per_row * 32 + (col / 4) * 32 + (row % 8) * 4 + (col % 4);
      break;
  }
  return static_cast<std::size_t>(result);
}

}  // namespace fourge::reference
