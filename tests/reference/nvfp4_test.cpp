#include "reference/nvfp4.hpp"

#include <bit>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>

#include "reference/ftz.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace reference = fourge::reference;
using reference::ElementType;
using reference::MathMode;
using reference::Nvfp4Block;
using reference::ScaleLayout;

namespace {

using Values = std::array<float, 16>;
using Elements = std::array<std::uint16_t, 16>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Published golden blocks.
constexpr Values kA = {0, .5F, 1, 1.5F, 2, 2.5F, 3, 3.5F, 4, 4.5F, 5, 5.5F, 6, -6, -.25F, -0.0F};
constexpr Values kC = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4};

Elements elements(const Values& values, ElementType type) {
  Elements result{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    result[i] = reference::from_float(type, values[i]);
  }
  return result;
}

Nvfp4Block quantize(const Values& values, float global_scale, MathMode math,
                    ElementType type = ElementType::bf16) {
  return quantize_nvfp4_block(elements(values, type), type, global_scale, math);
}

std::string hex(const Nvfp4Block& block) {
  std::string text;
  for (const unsigned byte : block.codes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02X", byte & 0xFFU);
    text += digits;
  }
  return text;
}

unsigned code(const Nvfp4Block& block, std::size_t i) {
  const unsigned byte = block.codes[i / 2];
  return i % 2 == 0 ? byte & 0xFU : byte >> 4;
}

float scale_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

}  // namespace

TEST_CASE("golden blocks of NVFP4 with a tensor scale", "[nvfp4]") {
  for (const ElementType type : {ElementType::bf16, ElementType::f16}) {
    INFO(to_string(type));
    const Nvfp4Block a6 = quantize(kA, scale_bits(0x43E0'0000U), MathMode::exact, type);
    CHECK(a6.scale == 0x7E);
    CHECK(hex(a6) == "103244656676F788");
    const Nvfp4Block a19 = quantize(kA, scale_bits(0x4309'D89EU), MathMode::exact, type);
    CHECK(a19.scale == 0x71);
    CHECK(hex(a19) == "103244556676F788");
    const Nvfp4Block c4 = quantize(kC, scale_bits(0x4428'0000U), MathMode::exact, type);
    CHECK(c4.scale == 0x7E);
    CHECK(hex(c4) == "6666666666666676");
  }
}

TEST_CASE("the block maximum skips NaN and starts at zero", "[nvfp4]") {
  for (const ElementType type : {ElementType::bf16, ElementType::f16}) {
    INFO(to_string(type));
    CHECK(magnitude_maximum(elements(kA, type), type) == 6.0F);
    Values values{};
    values.fill(kNan);
    CHECK(magnitude_maximum(elements(values, type), type) == 0.0F);
    values[5] = -2.0F;
    CHECK(magnitude_maximum(elements(values, type), type) == 2.0F);
    values[6] = -kInfinity;
    CHECK(magnitude_maximum(elements(values, type), type) == kInfinity);
    CHECK(magnitude_maximum({}, type) == 0.0F);
  }
}

TEST_CASE("a zero block has scale 0 and keeps the sign of its zeros", "[nvfp4]") {
  Values values{};
  values[1] = -0.0F;
  values[14] = -0.0F;
  for (const MathMode math : {MathMode::exact, MathMode::fast}) {
    for (const float global_scale : {448.0F, reference::ftz::kMax, 1e-30F}) {
      const Nvfp4Block block = quantize(values, global_scale, math);
      CHECK(block.scale == 0x00);
      CHECK(hex(block) == "8000000000000008");
    }
  }
}

TEST_CASE("a block of bf16 subnormals is a zero block", "[nvfp4]") {
  Elements x{};
  x[0] = 0x0001;
  x[1] = 0x807F;
  for (const MathMode math : {MathMode::exact, MathMode::fast}) {
    const Nvfp4Block block = quantize_nvfp4_block(x, ElementType::bf16, reference::ftz::kMax, math);
    CHECK(block.scale == 0x00);
    CHECK(block.multiplier == 0.0F);
    CHECK(hex(block) == "8000000000000000");
  }
}

TEST_CASE("f16 subnormals are normal numbers of binary32", "[nvfp4]") {
  Elements x{};
  x[0] = 0x0006;  // 6 * 2^-24
  x[1] = 0x8003;
  const Nvfp4Block block = quantize_nvfp4_block(x, ElementType::f16, 0x1p24F, MathMode::exact);
  CHECK(block.scale == 0x38);  // 1.0
  CHECK(hex(block) == "D700000000000000");
}

TEST_CASE("a tiny block: the scale underflows", "[nvfp4]") {
  Values values{};
  values[0] = 0x1p-60F;
  values[1] = -0x1p-80F;
  values[3] = -0.0F;
  const Nvfp4Block exact = quantize(values, 1.0F, MathMode::exact);
  CHECK(exact.scale == 0x00);
  CHECK(exact.multiplier == reference::ftz::kMax);
  CHECK(hex(exact) == "F780000000000000");
  const Nvfp4Block fast = quantize(values, 1.0F, MathMode::fast);
  CHECK(fast.scale == 0x00);
  CHECK(fast.multiplier == 0.0F);
  CHECK(hex(fast) == "8080000000000000");
}

TEST_CASE("a NaN becomes code 7 and leaves the others alone", "[nvfp4]") {
  for (const MathMode math : {MathMode::exact, MathMode::fast}) {
    Values values = kA;
    const Nvfp4Block without = quantize(values, 448.0F, math);
    values[2] = kNan;
    values[9] = -kNan;
    const Nvfp4Block with = quantize(values, 448.0F, math);
    CHECK(with.scale == without.scale);
    for (std::size_t i = 0; i < values.size(); ++i) {
      INFO("element " << i);
      CHECK(code(with, i) == (i == 2 || i == 9 ? 7U : code(without, i)));
    }

    values.fill(kNan);
    const Nvfp4Block all = quantize(values, 448.0F, math);
    CHECK(all.scale == 0x00);
    CHECK(hex(all) == "7777777777777777");
  }
}

TEST_CASE("an infinity saturates the scale", "[nvfp4]") {
  for (const MathMode math : {MathMode::exact, MathMode::fast}) {
    Values values{};
    values[0] = kInfinity;
    values[1] = -kInfinity;
    values[2] = 1.0F;
    values[3] = -448.0F;
    const Nvfp4Block block = quantize(values, 1.0F, math);
    CHECK(block.scale == 0x7E);
    CHECK(block.multiplier == reference::ftz::rcp(448.0F));
    CHECK(hex(block) == "F7A0000000000000");
  }
}

TEST_CASE("exact and fast mode multiply in their own order", "[nvfp4]") {
  // 3 * 6.25 / 6 = 3.125 is a tie of E4M3 between 3 (0x44) and 3.25 (0x45). Exact mode forms
  // 6.25 * (3 / 6), which is the tie; fast mode forms 3 * (6.25 / 6), which rounds to just above
  // it.
  Values values{};
  values[0] = 6.25F;
  CHECK(quantize(values, 3.0F, MathMode::exact).scale == 0x44);
  CHECK(quantize(values, 3.0F, MathMode::fast).scale == 0x45);
  // 5 * 7.5 / 6 = 6.25, between 6 (0x4C) and 6.5 (0x4D): here exact mode is just above.
  values[0] = 7.5F;
  CHECK(quantize(values, 5.0F, MathMode::exact).scale == 0x4D);
  CHECK(quantize(values, 5.0F, MathMode::fast).scale == 0x4C);
}

TEST_CASE("padding of the scale buffer is zero", "[nvfp4]") {
  const std::int64_t rows = 9;
  const std::int64_t cols = 80;  // 5 scale columns
  const std::vector<std::uint16_t> x(static_cast<std::size_t>(rows * cols), 0x3F80);
  for (const ScaleLayout layout : {ScaleLayout::tiled_128x4, ScaleLayout::tiled_8x4}) {
    INFO(to_string(layout));
    const reference::Nvfp4Problem problem{x,      ElementType::bf16, rows,  cols,
                                          448.0F, MathMode::exact,   layout};
    const std::vector<std::uint8_t> scales = quantize_nvfp4(problem).scales;
    const reference::ScaleMatrix matrix = problem.scale_matrix();
    REQUIRE(scales.size() == matrix.bytes());
    for (std::int64_t row = 0; row < matrix.padded_rows(); ++row) {
      for (std::int64_t col = 0; col < matrix.padded_cols(); ++col) {
        const bool padding = row >= rows || col >= 5;
        // 448 / 6 rounds to 72.
        REQUIRE(scales[matrix.offset(row, col)] == (padding ? 0x00 : 0x69));
      }
    }
  }
}

TEST_CASE("the number of threads does not matter", "[nvfp4]") {
  const std::vector<std::uint16_t> x =
      fourge::tests::make_input(fourge::tests::Pattern::random, ElementType::bf16, 37, 208, 1);
  reference::Nvfp4Problem problem{
      x, ElementType::bf16, 37, 208, 300.0F, MathMode::exact, ScaleLayout::tiled_128x4};
  const reference::Nvfp4Output one = quantize_nvfp4(problem);
  for (const unsigned threads : {0U, 2U, 5U, 36U, 37U, 64U}) {
    INFO(threads << " threads");
    const reference::Nvfp4Output many = quantize_nvfp4(problem, threads);
    CHECK(many.codes == one.codes);
    CHECK(many.scales == one.scales);
  }
}

TEST_CASE("shapes that do not fit are refused, no rows are fine", "[nvfp4]") {
  const std::vector<std::uint16_t> x(64);
  reference::Nvfp4Problem problem{
      x, ElementType::bf16, 4, 16, 1.0F, MathMode::exact, ScaleLayout::tiled_8x4};
  CHECK(quantize_nvfp4(problem).codes.size() == 32);
  problem.rows = 3;
  CHECK_THROWS_AS(quantize_nvfp4(problem), std::invalid_argument);
  problem.rows = 8;
  problem.cols = 8;
  CHECK_THROWS_AS(quantize_nvfp4(problem), std::invalid_argument);
  problem.rows = -4;
  problem.cols = -16;
  CHECK_THROWS_AS(quantize_nvfp4(problem), std::invalid_argument);
  problem.x = {};
  problem.rows = 0;
  problem.cols = 16;
  const reference::Nvfp4Output none = quantize_nvfp4(problem, 4);
  CHECK(none.codes.empty());
  CHECK(none.scales.empty());
}
