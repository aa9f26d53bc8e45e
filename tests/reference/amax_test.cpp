#include "reference/amax.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "reference/ftz.hpp"
#include "reference/scale_interleave.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

using namespace fourge::reference;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

float row(std::vector<float> values, float scale) { return row_amax(values, scale); }

}  // namespace

TEST_CASE("a row's maximum skips NaN and starts at zero", "[amax]") {
  CHECK(row({1.0F, -3.0F, 2.0F}, 1.0F) == 3.0F);
  CHECK(row({1.0F, kNan, -2.0F}, 0.5F) == 1.0F);
  CHECK(row({kNan, -kNan}, 1.0F) == 0.0F);
  CHECK_FALSE(std::signbit(row({-0.0F}, 1.0F)));
  CHECK(row({1.0F, -kInfinity}, 1.0F) == kInfinity);
  CHECK(row({1.0F, kInfinity}, 0.0F) == 0.0F);  // infinity times zero is NaN
  CHECK(row({0x1p-127F}, 1.0F) == 0.0F);        // the product flushes
  CHECK(row({0x1p-127F}, 0x1p10F) == 0.0F);     // its operands too
  CHECK(row({3e38F}, 2.0F) == kInfinity);
}

TEST_CASE("the largest product is that of the largest magnitude", "[amax]") {
  using fourge::tests::make_input;
  for (const auto pattern : fourge::tests::all_patterns()) {
    for (const float scale : {1.0F, 1.0F / 2688.0F, 3e38F, 0x1p-120F}) {
      const auto x =
          to_floats(make_input(pattern, ElementType::bf16, 2, 512, 3), ElementType::bf16);
      const float largest = largest_magnitude(x);
      CHECK(row_amax(x, scale) == ftz::mul(largest, scale));
    }
  }
}

TEST_CASE("a row map chooses rows; other rows stay as they are", "[amax]") {
  const std::vector<float> x{1, 2, -5, 4, 7, 6};
  const std::int32_t map[] = {2, -1, 0, 3, 2, -2147483647 - 1};
  const auto found = row_amax({x, 3, 2, 2.0F, true, map}, -9.0F);
  CHECK(found == std::vector<float>{4.0F, -9.0F, 14.0F});
  CHECK(row_amax({x, 3, 2, 1.0F, true, {}}, -9.0F) == std::vector<float>(3, -9.0F));
  CHECK(row_amax({x, 3, 2, 1.0F, false, {}}, -9.0F) == std::vector<float>{2.0F, 5.0F, 7.0F});
  CHECK_THROWS_AS(row_amax({x, 2, 2, 1.0F, false, {}}, 0.0F), std::invalid_argument);
}

TEST_CASE("the encode scale of a tensor", "[amax]") {
  const auto bits = [](float amax, float range) {
    return std::bit_cast<std::uint32_t>(encode_scale(amax, range));
  };
  // The scales of the numerics contract's golden blocks.
  CHECK(bits(6.0F, 448.0F) == 0x43E00000);
  CHECK(bits(6.0F, 256.0F) == 0x43800000);
  CHECK(bits(19.5F, 448.0F) == 0x4309D89E);
  CHECK(bits(19.5F, 256.0F) == 0x429D89D9);
  CHECK(bits(16.0F, 256.0F) == 0x42C00000);
  CHECK(bits(52.0F, 448.0F) == 0x424EC4EC);
  CHECK(encode_scale(0.0F, 448.0F) == ftz::kMax);
  CHECK(encode_scale(0x1p-130F, 448.0F) == ftz::kMax);
  CHECK(encode_scale(7.8e-36F, 448.0F) == ftz::kMax);
  CHECK(encode_scale(8e-36F, 448.0F) < ftz::kMax);
  CHECK(encode_scale(kInfinity, 448.0F) == 1.0F);
  CHECK(encode_scale(ftz::kMax, 256.0F) > 0.0F);
  CHECK(largest_magnitude(std::vector<float>{kNan, -0x1p-149F}) == 0x1p-149F);
  CHECK(largest_magnitude({}) == 0.0F);
}

TEST_CASE("scales are interleaved to the documented places, padding zero", "[interleave]") {
  const ScaleMatrix matrix(ScaleLayout::tiled_128x4, 131, 6);
  std::vector<std::uint8_t> linear(2 * 131 * 6);
  for (std::size_t i = 0; i < linear.size(); ++i) {
    linear[i] = static_cast<std::uint8_t>(1 + i % 251);
  }
  const auto tiled = interleave_scales(matrix, 2, linear);
  REQUIRE(tiled.size() == 2 * 256 * 8);
  CHECK(tiled[597] == linear[37 * 6 + 5]);
  CHECK(tiled[1059 + 512] == 0);  // row 130, column 7
  CHECK(tiled[256 * 8 + 597] == linear[(131 + 37) * 6 + 5]);
  std::size_t zeros = 0;
  for (const std::uint8_t byte : tiled) {
    zeros += byte == 0 ? 1 : 0;
  }
  CHECK(zeros == tiled.size() - linear.size());
  CHECK(deinterleave_scales(matrix, 2, tiled) == linear);

  const ScaleMatrix small(ScaleLayout::tiled_8x4, 40, 6);
  const auto eight = interleave_scales(small, 1, std::span(linear).first(240));
  CHECK(eight[309] == linear[37 * 6 + 5]);
  CHECK(deinterleave_scales(small, 1, eight) ==
        std::vector<std::uint8_t>(linear.begin(), linear.begin() + 240));
  CHECK_THROWS_AS(interleave_scales(small, 2, std::span(linear).first(240)), std::invalid_argument);
  CHECK_THROWS_AS(deinterleave_scales(small, 1, std::span(linear).first(240)),
                  std::invalid_argument);
}
