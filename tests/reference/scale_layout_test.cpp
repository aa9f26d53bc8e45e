#include "reference/scale_layout.hpp"

#include <stdexcept>
#include <utility>
#include <vector>

#include "tests/support/catch.hpp"

using fourge::reference::parse_scale_layout;
using fourge::reference::ScaleLayout;
using fourge::reference::ScaleMatrix;

TEST_CASE("scale layouts have the names of kernel specs", "[layout]") {
  CHECK(parse_scale_layout("linear") == ScaleLayout::linear);
  CHECK(parse_scale_layout("128x4") == ScaleLayout::tiled_128x4);
  CHECK(parse_scale_layout("8x4") == ScaleLayout::tiled_8x4);
  CHECK_THROWS_AS(parse_scale_layout("4x4"), std::invalid_argument);
  CHECK_THROWS_AS(parse_scale_layout(""), std::invalid_argument);
}

TEST_CASE("scale offsets have their published values", "[layout]") {
  const ScaleMatrix large(ScaleLayout::tiled_128x4, 200, 6);
  CHECK(large.offset(37, 5) == 597);
  CHECK(large.offset(130, 3) == 1059);
  CHECK(ScaleMatrix(ScaleLayout::tiled_8x4, 200, 6).offset(37, 5) == 309);
  CHECK(ScaleMatrix(ScaleLayout::linear, 200, 6).offset(37, 5) == 37 * 6 + 5);
}

TEST_CASE("tiled layouts are padded to whole tiles", "[layout]") {
  CHECK(ScaleMatrix(ScaleLayout::linear, 17, 13).bytes() == 17 * 13);
  CHECK(ScaleMatrix(ScaleLayout::tiled_128x4, 17, 13).bytes() == 128 * 16);
  CHECK(ScaleMatrix(ScaleLayout::tiled_128x4, 129, 4).bytes() == 256 * 4);
  CHECK(ScaleMatrix(ScaleLayout::tiled_8x4, 17, 13).bytes() == 24 * 16);
  CHECK(ScaleMatrix(ScaleLayout::tiled_8x4, 16, 1).bytes() == 16 * 4);
  CHECK(ScaleMatrix(ScaleLayout::tiled_128x4, 0, 4).bytes() == 0);
  CHECK_THROWS_AS(ScaleMatrix(ScaleLayout::linear, -1, 4), std::invalid_argument);
}

TEST_CASE("every layout maps the padded matrix onto its bytes one to one", "[layout]") {
  for (const ScaleLayout layout :
       {ScaleLayout::linear, ScaleLayout::tiled_128x4, ScaleLayout::tiled_8x4}) {
    for (const auto& [rows, cols] : {std::pair(1, 1), std::pair(8, 4), std::pair(129, 13)}) {
      INFO(to_string(layout) << " " << rows << "x" << cols);
      const ScaleMatrix matrix(layout, rows, cols);
      std::vector<int> uses(matrix.bytes());
      for (std::int64_t row = 0; row < matrix.padded_rows(); ++row) {
        for (std::int64_t col = 0; col < matrix.padded_cols(); ++col) {
          ++uses.at(matrix.offset(row, col));
        }
      }
      CHECK(uses == std::vector<int>(matrix.bytes(), 1));
    }
  }
}

TEST_CASE("scale offsets do not overflow 32 bits", "[layout]") {
  const std::int64_t rows = 1'000'000;
  const std::int64_t cols = 8192;
  const auto last = static_cast<std::size_t>(rows * cols - 1);
  CHECK(ScaleMatrix(ScaleLayout::linear, rows, cols).offset(rows - 1, cols - 1) == last);
  CHECK(ScaleMatrix(ScaleLayout::tiled_8x4, rows, cols).offset(rows - 1, cols - 1) == last);
  const ScaleMatrix tiled(ScaleLayout::tiled_128x4, rows, cols);
  CHECK(tiled.offset(tiled.padded_rows() - 1, cols - 1) == tiled.bytes() - 1);
  CHECK(tiled.bytes() == 8'192'524'288U);
}
