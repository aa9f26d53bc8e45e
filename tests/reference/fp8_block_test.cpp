#include "reference/fp8_block.hpp"

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>

#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace reference = fourge::reference;
using reference::ElementType;
using reference::Fp8Output;
using reference::Fp8Problem;
using reference::Fp8Scale;
using reference::Fp8Storage;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<std::uint16_t> bf16(const std::vector<float>& values) {
  std::vector<std::uint16_t> x;
  for (const float value : values) {
    x.push_back(reference::float_to_bf16(value));
  }
  return x;
}

// One row of at most 128 values.
Fp8Output quantize_row(const std::vector<float>& values, Fp8Scale scale = Fp8Scale::f32,
                       float eps = 1e-4F) {
  const auto x = bf16(values);
  Fp8Problem problem;
  problem.x = x;
  problem.rows = 1;
  problem.cols = static_cast<std::int64_t>(values.size());
  problem.scale = scale;
  problem.eps = eps;
  return quantize_fp8_blocks(problem);
}

}  // namespace

TEST_CASE("a block's scale is max(a, eps) / 448", "[fp8]") {
  CHECK(reference::fp8_block_scale(448.0F, 1e-4F, Fp8Scale::f32) == 1.0F);
  CHECK(reference::fp8_block_scale(7.0F, 1e-4F, Fp8Scale::f32) == 0x1p-6F);
  // A true division: 3 * RN(1/448) is one unit in the last place more.
  CHECK(std::bit_cast<std::uint32_t>(reference::fp8_block_scale(3.0F, 1e-4F, Fp8Scale::f32)) ==
        0x3BDB6DB7U);
  CHECK(reference::fp8_block_scale(0.0F, 1e-4F, Fp8Scale::f32) == 1e-4F / 448.0F);
  CHECK(reference::fp8_block_scale(5e-5F, 1e-4F, Fp8Scale::f32) == 1e-4F / 448.0F);
  CHECK(reference::fp8_block_scale(5e-5F, 1e-30F, Fp8Scale::f32) == 5e-5F / 448.0F);
  CHECK(reference::fp8_block_scale(0.0F, 0x1p-117F, Fp8Scale::f32) > 0x1p-126F);
  CHECK(reference::fp8_block_scale(kInfinity, 1e-4F, Fp8Scale::f32) == kInfinity);
}

TEST_CASE("a power-of-two scale is rounded up", "[fp8]") {
  CHECK(reference::fp8_block_scale(448.0F, 1e-4F, Fp8Scale::pow2) == 1.0F);
  CHECK(reference::fp8_block_scale(450.0F, 1e-4F, Fp8Scale::pow2) == 2.0F);
  CHECK(reference::fp8_block_scale(6.0F, 1e-4F, Fp8Scale::pow2) == 0x1p-6F);
  CHECK(reference::fp8_block_scale(0.0F, 1e-4F, Fp8Scale::pow2) == 0x1p-22F);
  CHECK(reference::fp8_block_scale(0.0F, 0x1p-117F, Fp8Scale::pow2) == 0x1p-125F);
  CHECK(reference::fp8_block_scale(kInfinity, 1e-4F, Fp8Scale::pow2) == 0x1p127F);
}

TEST_CASE("elements are multiplied by the rounded reciprocal of the scale", "[fp8]") {
  const auto row = quantize_row({7, -7, 3.5F, 0, -0.0F, 1.75F, -0.875F, 0.01F});
  CHECK(row.scales == std::vector<float>{0x1p-6F});
  CHECK(row.data == std::vector<std::uint8_t>{0x7E, 0xFE, 0x76, 0x00, 0x80, 0x6E, 0xE6, 0x32});
  const auto pow2 = quantize_row({6, -3}, Fp8Scale::pow2);
  CHECK(pow2.scales == std::vector<float>{0x1p-6F});
  CHECK(pow2.data == std::vector<std::uint8_t>{0x7C, 0xF4});  // 384, -192
}

TEST_CASE("a block of zeros or of less than eps", "[fp8]") {
  const auto zeros = quantize_row({0, -0.0F, 0});
  CHECK(zeros.scales == std::vector<float>{1e-4F / 448.0F});
  CHECK(zeros.data == std::vector<std::uint8_t>{0x00, 0x80, 0x00});
  // 2^-14 / (1e-4 / 448) = 273.4, which rounds to 288.
  CHECK(quantize_row({0x1p-14F}).data == std::vector<std::uint8_t>{0x79});
  // bf16 subnormals are zeros to the multiplication.
  const auto tiny = quantize_row({0x1p-130F, -0x1p-130F}, Fp8Scale::f32, 0x1p-117F);
  CHECK(tiny.data == std::vector<std::uint8_t>{0x00, 0x80});
}

TEST_CASE("NaN and infinities in block-FP8", "[fp8]") {
  const auto nan = quantize_row({448, -kNan, 1});
  CHECK(nan.scales == std::vector<float>{1.0F});
  CHECK(nan.data == std::vector<std::uint8_t>{0x7E, 0x7F, 0x38});
  for (const Fp8Scale kind : {Fp8Scale::f32, Fp8Scale::pow2}) {
    const auto inf = quantize_row({448, kInfinity, -kInfinity, -1}, kind);
    CHECK(inf.scales == std::vector<float>{kind == Fp8Scale::f32 ? kInfinity : 0x1p127F});
    CHECK(inf.data == std::vector<std::uint8_t>{0x00, 0x7F, 0x7F, 0x80});
  }
}

TEST_CASE("blocks have their own scales, and scales their places", "[fp8]") {
  // Element (r, c) is 2^(block row) in even block columns, three times that in odd ones.
  constexpr std::int64_t kRows = 261;
  constexpr std::int64_t kCols = 272;  // the last block column has 16
  for (const std::int64_t block_rows : {std::int64_t{1}, reference::kFp8Block}) {
    const auto value = [&](std::int64_t r, std::int64_t c) {
      const int exponent = static_cast<int>(r / block_rows % 60);
      return std::ldexp(c / 128 % 2 == 1 ? 3.0F : 1.0F, exponent);
    };
    std::vector<std::uint16_t> x;
    for (std::int64_t r = 0; r < kRows; ++r) {
      for (std::int64_t c = 0; c < kCols; ++c) {
        x.push_back(reference::float_to_bf16(value(r, c)));
      }
    }
    const std::int64_t block_count = (kRows + block_rows - 1) / block_rows;
    for (const auto storage : {Fp8Storage::row_major, Fp8Storage::transposed}) {
      Fp8Problem problem{x, ElementType::bf16, kRows, kCols, block_rows, Fp8Scale::f32, storage};
      const auto output = quantize_fp8_blocks(problem);
      const bool transposed = storage == Fp8Storage::transposed;
      const std::int64_t stride = (block_count + 3) / 4 * 4;
      REQUIRE(std::ssize(output.scales) == 3 * (transposed ? stride : block_count));
      for (std::int64_t i = 0; i < std::ssize(output.scales); ++i) {
        const std::int64_t r = transposed ? i % stride : i / 3;
        const std::int64_t c = transposed ? i / stride : i % 3;
        const float expected = r < block_count ? value(r * block_rows, c * 128) / 448.0F : 0.0F;
        REQUIRE(output.scales[static_cast<std::size_t>(i)] == expected);
      }
      for (const unsigned code : output.data) {
        REQUIRE(code == 0x7EU);  // all equal within a block, so all at the largest code
      }
      const auto many = quantize_fp8_blocks(problem, 5);
      CHECK(many.data == output.data);
      CHECK(many.scales == output.scales);
    }
  }
}

TEST_CASE("what block-FP8 decodes to is near what was encoded", "[fp8]") {
  for (const ElementType type : {ElementType::bf16, ElementType::f16}) {
    for (const Fp8Scale kind : {Fp8Scale::f32, Fp8Scale::pow2}) {
      const auto x = fourge::tests::make_input(fourge::tests::Pattern::random, type, 33, 128, 8);
      Fp8Problem problem{x, type, 33, 128, 1, kind, Fp8Storage::row_major, 1e-4F};
      const auto output = quantize_fp8_blocks(problem);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const float value = reference::to_float(type, x[i]);
        const float scale = output.scales[i / 128];
        const float decoded = scale * reference::decode_e4m3(output.data[i]);
        // Half a unit in the last place and a little for the three roundings.
        const float bound = std::max(std::fabs(value) / 16, scale * 0x1p-10F) * 1.0001F;
        REQUIRE(std::fabs(decoded - value) <= bound);
      }
    }
  }
}

TEST_CASE("block-FP8: shapes that do not fit are refused, no rows are fine", "[fp8]") {
  const std::vector<std::uint16_t> x(128);
  const Fp8Problem good{x, ElementType::bf16, 4, 32};
  CHECK(quantize_fp8_blocks(good).scales.size() == 4);
  const auto refused = [&](const std::function<void(Fp8Problem&)>& change) {
    Fp8Problem problem = good;
    change(problem);
    CHECK_THROWS_AS(quantize_fp8_blocks(problem), std::invalid_argument);
  };
  refused([](Fp8Problem& p) { p.rows = 3; });
  refused([](Fp8Problem& p) { p.block_rows = 64; });
  refused([](Fp8Problem& p) { p.rows = -4, p.cols = -32; });
  refused([](Fp8Problem& p) { p.cols = 0; });
  Fp8Problem none = good;
  none.x = {};
  none.rows = 0;
  CHECK(quantize_fp8_blocks(none).scales.empty());
  CHECK(quantize_fp8_blocks(none).data.empty());
}
