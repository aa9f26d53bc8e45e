// The reference for all forms of nvfp4_quantize: against the plain one where they must agree, and its
// judgement of fast mode.
#include "reference/nvfp4_quantize.hpp"

#include <bit>
#include <cmath>
#include <stdexcept>

#include "reference/ftz.hpp"
#include "reference/nvfp4_e4m3.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/near_choice.hpp"
#include "tests/support/patterns.hpp"

using namespace fourge::reference;
using fourge::tests::make_input;
using fourge::tests::Pattern;

namespace {

QuantizeProblem problem_of(std::span<const std::uint16_t> x, std::int64_t batches,
                           std::int64_t rows, std::int64_t cols, std::span<const float> scales) {
  QuantizeProblem problem;
  problem.x = x;
  problem.batches = batches;
  problem.rows = rows;
  problem.cols = cols;
  problem.scales = scales;
  return problem;
}

// What one row of its own gives with a tensor scale.
Nvfp4Output row_alone(std::span<const std::uint16_t> x, float scale) {
  return quantize_nvfp4({x, ElementType::bf16, 1, static_cast<std::int64_t>(x.size()), scale,
                         MathMode::exact, ScaleLayout::linear});
}

}  // namespace

TEST_CASE("a tensor scale is what the plain reference does", "[quantize]") {
  const auto x = make_input(Pattern::random, ElementType::bf16, 130, 80, 1);
  const float scale = 700.0F;
  auto problem = problem_of(x, 1, 130, 80, {&scale, 1});
  problem.layout = ScaleLayout::tiled_128x4;
  const auto plain = quantize_nvfp4(
      {x, ElementType::bf16, 130, 80, scale, MathMode::exact, ScaleLayout::tiled_128x4});
  CHECK(quantize(problem).codes == plain.codes);
  CHECK(quantize(problem, 3).scales == plain.scales);
  problem.four_over_six = FourOverSix{ErrorMetric::mse, 256, ErrorMath::strict};
  CHECK(quantize(problem).codes ==
        quantize_nvfp4_4over6(
            {x, ElementType::bf16, 130, 80, scale, MathMode::exact, ScaleLayout::tiled_128x4},
            *problem.four_over_six)
            .codes);
}

TEST_CASE("row r of every batch takes scale r, and each batch is padded on its own", "[quantize]") {
  const auto x = make_input(Pattern::random, ElementType::bf16, 6, 32, 2);
  const float scales[] = {100.0F, 700.0F, 3.0F};
  auto problem = problem_of(x, 2, 3, 32, scales);
  problem.form = ScaleForm::row;
  problem.layout = ScaleLayout::tiled_8x4;
  const auto output = quantize(problem);
  REQUIRE(output.scales.size() == 2 * 8 * 4);
  REQUIRE(output.codes.size() == 6 * 16);
  for (std::size_t row = 0; row < 6; ++row) {
    const auto alone = row_alone(std::span(x).subspan(row * 32, 32), scales[row % 3]);
    CHECK(std::equal(alone.codes.begin(), alone.codes.end(),
                     output.codes.begin() + static_cast<std::ptrdiff_t>(row * 16)));
    const std::size_t at = row / 3 * 32 + row % 3 * 4;
    CHECK(output.scales[at] == alone.scales[0]);
    CHECK(output.scales[at + 1] == alone.scales[1]);
    CHECK(output.scales[at + 2] == 0);
  }
  CHECK(output.scales[3 * 4] == 0);
}

TEST_CASE("an inverse scale is turned over with one rounding", "[quantize]") {
  const auto x = make_input(Pattern::random, ElementType::bf16, 2, 64, 3);
  const float given = 0.0037F;
  const float scale = 1.0F / given;
  auto problem = problem_of(x, 1, 2, 64, {&given, 1});
  problem.form = ScaleForm::tensor_inverse;
  const auto output = quantize(problem);
  problem.form = ScaleForm::tensor;
  problem.scales = {&scale, 1};
  CHECK(output.codes == quantize(problem).codes);
  CHECK(output.scales == quantize(problem).scales);
}

TEST_CASE("E4M3 input: a block by hand", "[quantize]") {
  // G = 6, so x is taken as it is; its maximum is 6: s = G * 6/6 = 6, o = 6/6 = 1.
  std::array<std::uint8_t, 16> x{};
  const float values[] = {0,  .5F,   1,     1.5F, 2, 3,    4,     6,
                          -6, -.25F, -0.0F, 2.5F, 5, 3.5F, 1.25F, .75F};
  for (std::size_t i = 0; i < 16; ++i) {
    x[i] = encode_e4m3(values[i]);
  }
  const auto made = quantize_nvfp4_block_from_e4m3(x, 6.0F, 1.0F / 6.0F);
  CHECK(made.block.scale == encode_e4m3(6.0F));
  CHECK(made.block.multiplier == 1.0F);
  const std::array<std::uint8_t, 8> codes{0x10, 0x32, 0x54, 0x76, 0x8F, 0x48, 0x66, 0x22};
  CHECK(made.block.codes == codes);
}

TEST_CASE("E4M3 input: NaN is skipped and becomes 7; what underflows becomes 0", "[quantize]") {
  std::array<std::uint8_t, 16> x{};
  x[0] = 0x7F;
  x[1] = 0xFF;
  x[2] = encode_e4m3(-448.0F);
  const auto made = quantize_nvfp4_block_from_e4m3(x, 6.0F, 1.0F / 6.0F);
  CHECK(made.block.scale == 0x7E);
  CHECK(made.block.codes[0] == 0x77);
  CHECK(made.block.codes[1] == 0x0F);
  x = {};
  x[0] = 0x81;                                                             // -2^-9, the smallest
  const auto tiny = quantize_nvfp4_block_from_e4m3(x, 0x1p20F, 0x1p-20F);  // below the halves
  CHECK(tiny.block.scale == 0x00);
  CHECK(tiny.block.codes[0] == 0x08);
}

TEST_CASE("problems that do not fit together are refused", "[quantize]") {
  const std::vector<std::uint16_t> x(64);
  const std::vector<std::uint8_t> bytes(64);
  const float scale[2] = {1, 1};
  CHECK_THROWS_AS(quantize(problem_of(x, 1, 2, 48, {scale, 1})), std::invalid_argument);
  CHECK_THROWS_AS(quantize(problem_of(x, 1, 4, 24, {scale, 1})), std::invalid_argument);
  CHECK_THROWS_AS(quantize(problem_of(x, -1, 2, 32, {scale, 1})), std::invalid_argument);
  CHECK_THROWS_AS(quantize(problem_of(x, 1, 2, 32, {scale, 2})), std::invalid_argument);
  auto from_bytes = problem_of({}, 1, 2, 32, {scale, 1});
  from_bytes.input = QuantizeInput::e4m3;
  from_bytes.x_8 = bytes;
  CHECK_THROWS_AS(quantize(from_bytes), std::invalid_argument);
  from_bytes.math = MathMode::fast;
  CHECK(quantize(from_bytes).codes.size() == 32);
  from_bytes.four_over_six = FourOverSix{};
  CHECK_THROWS_AS(quantize(from_bytes), std::invalid_argument);
}

TEST_CASE("comparison: every byte counts in exact mode, padding in both", "[quantize]") {
  const auto x = make_input(Pattern::random, ElementType::bf16, 6, 32, 2);
  const float scale = 700.0F;
  for (const MathMode math : {MathMode::exact, MathMode::fast}) {
    auto problem = problem_of(x, 2, 3, 32, {&scale, 1});
    problem.layout = ScaleLayout::tiled_8x4;
    problem.math = math;
    const auto expected = quantize(problem);
    CHECK(compare(problem, expected, expected).ok());
    CHECK(compare(problem, expected, expected).blocks == 12);
    auto found = expected;
    found.codes[77] ^= 0x10;
    CHECK(compare(problem, expected, found).code_differences == 1);
    CHECK(compare(problem, expected, found).first.find("batch 1, row 1") == 0);
    found = expected;
    found.scales[1] ^= 1;
    CHECK(compare(problem, expected, found).scale_differences == 1);
    found = expected;
    found.scales[63] = 1;
    CHECK(compare(problem, expected, found).scale_differences == 1);
    CHECK_FALSE(compare(problem, expected, found).first.empty());
    found = expected;
    found.codes.pop_back();
    CHECK_FALSE(compare(problem, expected, found).ok());
  }
}

TEST_CASE("comparison: 1/G a unit off is excused in fast mode, and counted", "[quantize]") {
  const auto x = make_input(Pattern::random, ElementType::bf16, 200, 512, 4);
  const float given = 1.0F / 613.0F;
  auto problem = problem_of(x, 1, 200, 512, {&given, 1});
  problem.form = ScaleForm::tensor_inverse;
  problem.math = MathMode::fast;
  const auto expected = quantize(problem);
  // A device whose G is a unit higher.
  const float off = std::bit_cast<float>(std::bit_cast<std::uint32_t>(ftz::rcp(given)) + 1U);
  auto device = problem;
  device.form = ScaleForm::tensor;
  // The maximum of each block is multiplied by G: find one that rounds the other way.
  device.scales = {&off, 1};
  const auto report = compare(problem, expected, quantize(device));
  CHECK(report.ok());
  const float far_off = off * 1.01F;
  device.scales = {&far_off, 1};
  CHECK_FALSE(compare(problem, expected, quantize(device)).ok());
}

TEST_CASE("comparison: the other encoding is excused near equal errors only, and counted",
          "[quantize]") {
  const auto x = fourge::tests::near_choice_input(ElementType::bf16, 96, 512, 1);
  const auto scales = fourge::tests::near_choice_scales(96);
  auto problem = problem_of(x, 1, 96, 512, scales);
  problem.form = ScaleForm::row;
  problem.math = MathMode::fast;
  problem.four_over_six = FourOverSix{ErrorMetric::mae, 256, ErrorMath::strict};
  const auto expected = quantize(problem);
  std::uint64_t near = 0;
  std::uint64_t far = 0;
  for (std::int64_t row = 0; row < 96; ++row) {
    for (std::int64_t block = 0; block < 32; ++block) {
      const auto first = static_cast<std::size_t>(row * 32 + block);
      const auto made = quantize_4over6_block(
          std::span(x).subspan(first * 16).first<16>(), ElementType::bf16,
          scales[static_cast<std::size_t>(row)], MathMode::fast, *problem.four_over_six, 0.0F);
      if (made.chosen.scale == made.other.scale) {
        continue;
      }
      auto found = expected;
      found.scales[first] = made.other.scale;
      std::copy(made.other.codes.begin(), made.other.codes.end(),
                found.codes.begin() + static_cast<std::ptrdiff_t>(first * 8));
      const float gap = std::fabs(made.error_4 - made.error_6);
      const float larger = std::max(made.error_4, made.error_6);
      // Between the two lie errors that another rounding of 1/G may bring below the limit.
      const bool is_near = gap <= 1e-5F * larger;
      const bool is_far = gap > 1e-3F * larger;
      if ((is_near && near < 20) || (is_far && far < 20)) {
        const auto report = compare(problem, expected, found);
        CHECK(report.ok() == is_near);
        CHECK(report.excused_blocks == (is_near ? 1 : 0));
        (is_near ? near : far) += 1;
      }
    }
  }
  CHECK(near == 20);
  CHECK(far == 20);
}
