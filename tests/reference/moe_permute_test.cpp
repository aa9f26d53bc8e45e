#include "reference/moe_permute.hpp"

#include <vector>

#include "tests/support/catch.hpp"

namespace reference = fourge::reference;

TEST_CASE("rows are copied to where their tokens go, padding is left alone", "[moe]") {
  const std::vector<std::uint8_t> x{1, 2, 3, 4, 5, 6};
  const std::vector<std::int64_t> rows{2, -1, 0, 2};
  std::vector<std::uint8_t> y(10, 9);
  reference::permute_rows(x, rows, 2, y);
  CHECK(y == std::vector<std::uint8_t>{5, 6, 9, 9, 1, 2, 5, 6, 9, 9});
}

TEST_CASE("block scales follow their rows with the new stride, padding becomes zero", "[moe]") {
  const std::vector<float> x_scales{1, 2, 3, 10, 20, 30};
  const std::vector<std::int64_t> rows{2, -1, 0, 2};
  std::vector<float> y_scales(10, 7);
  reference::permute_block_scales(x_scales, rows, 3, 2, y_scales);
  CHECK(y_scales == std::vector<float>{3, 0, 1, 3, 30, 0, 10, 30, 7, 7});
}
