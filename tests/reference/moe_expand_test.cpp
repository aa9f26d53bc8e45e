#include "reference/moe_expand.hpp"

#include <limits>

#include "tests/support/catch.hpp"

namespace reference = fourge::reference;
using reference::ElementType;
using reference::ExpandedRow;
using reference::ExpandFormat;
using reference::MoeExpandProblem;
using reference::ScaleLayout;
using reference::ScaleMatrix;

namespace {

std::vector<std::uint16_t> bf16(const std::vector<float>& values, std::size_t size) {
  std::vector<std::uint16_t> x;
  for (const float value : values) {
    x.push_back(reference::float_to_bf16(value));
  }
  x.resize(size);
  return x;
}

}  // namespace

TEST_CASE("FP8 with a scale for each token", "[moe]") {
  auto x = bf16({224, -112, 1}, 16);
  const auto zeros = bf16({0, -0.0F}, 16);
  const auto inf = bf16({std::numeric_limits<float>::infinity(), 1}, 16);
  x.insert(x.end(), zeros.begin(), zeros.end());
  x.insert(x.end(), inf.begin(), inf.end());
  std::vector<std::uint8_t> codes(64, 0xA5);
  std::vector<float> token_scales(4, -1);
  const std::vector<ExpandedRow> rows{{0, 2, 2}, {1, 0, 0}, {2, 3, 3}};
  moe_expand({ExpandFormat::fp8, ElementType::bf16, x, 16, true, {}}, rows,
             ScaleMatrix(ScaleLayout::linear, 4, 1), {codes, {}, token_scales});
  CHECK(token_scales == std::vector<float>{1, -1, 0.5F, 1});
  CHECK(codes[0] == 0x00);
  CHECK(codes[1] == 0x80);
  CHECK(codes[16] == 0xA5);
  CHECK(codes[32] == 0x7E);
  CHECK(codes[33] == 0xF6);
  CHECK(codes[34] == 0x40);
  CHECK(codes[48] == 0x7E);
  CHECK(codes[49] == 0x38);
}

TEST_CASE("each copy of a token has its expert's scale", "[moe]") {
  // The golden block A of the numerics, tensor maximum 6 and 19.5.
  const auto x =
      bf16({0, .5F, 1, 1.5F, 2, 2.5F, 3, 3.5F, 4, 4.5F, 5, 5.5F, 6, -6, -.25F, -0.0F}, 16);
  std::vector<std::uint8_t> codes(24, 0xA5);
  std::vector<std::uint8_t> scales(8 * 4, 0xA5);
  const ScaleMatrix matrix(ScaleLayout::tiled_8x4, 8, 1);
  const std::vector<ExpandedRow> rows{{0, 2, 5, 448.0F}, {0, 0, 1, 137.84615F}};
  moe_expand({ExpandFormat::nvfp4, ElementType::bf16, x, 16, false, {}}, rows, matrix,
             {codes, scales, {}});
  CHECK(scales[matrix.offset(5, 0)] == 0x7E);
  CHECK(scales[matrix.offset(1, 0)] == 0x71);
  const std::vector<std::uint8_t> six{0x10, 0x32, 0x44, 0x65, 0x66, 0x76, 0xF7, 0x88};
  CHECK(std::vector<std::uint8_t>(codes.begin() + 16, codes.end()) == six);
  // The padding columns of the written rows are zero, other rows are left alone.
  for (std::int64_t col = 1; col < 4; ++col) {
    CHECK(scales[matrix.offset(5, col)] == 0);
    CHECK(scales[matrix.offset(4, col)] == 0xA5);
  }
  CHECK(codes[8] == 0xA5);
  zero_scale_row(matrix, 4, scales);
  CHECK(scales[matrix.offset(4, 3)] == 0);
}
