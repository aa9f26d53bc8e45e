#include "reference/rmsnorm.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "reference/mx.hpp"
#include "reference/nvfp4_per_token.hpp"
#include "reference/quantize_values.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

using namespace fourge::reference;
using fourge::tests::make_input;
using fourge::tests::Pattern;

namespace {

std::vector<float> values_of(const std::vector<std::uint16_t>& x, ElementType type) {
  std::vector<float> v;
  for (const std::uint16_t bits : x) {
    v.push_back(to_float(type, bits));
  }
  return v;
}

}  // namespace

TEST_CASE("the sum of squares has the order of its definition", "[rmsnorm]") {
  // 2^24 + 1 + 1 ... in one lane loses each 1; in lanes of their own they meet first.
  std::vector<float> h(64, 0.0F);
  h[0] = 4096.0F;
  for (std::size_t i = 1; i < 5; ++i) {
    h[i] = 1.0F;
  }
  CHECK(sum_of_squares(h) == 16777216.0F);
  std::fill(h.begin() + 1, h.end(), 0.0F);
  for (std::size_t i = 16; i < 20; ++i) {
    h[i] = 1.0F;
  }
  CHECK(sum_of_squares(h) == 16777220.0F);
  // Block 512 belongs to lane 0 again.
  std::vector<float> longer(513 * 16, 0.0F);
  longer[0] = 4096.0F;
  longer[512 * 16] = 1.0F;
  longer[512 * 16 + 1] = 1.0F;
  CHECK(sum_of_squares(longer) == 16777216.0F);
  longer[512 * 16] = longer[512 * 16 + 1] = 0.0F;
  longer[511 * 16] = longer[511 * 16 + 1] = 1.0F;
  CHECK(sum_of_squares(longer) == 16777218.0F);
}

TEST_CASE("the norm against binary64", "[rmsnorm]") {
  for (const ElementType type : {ElementType::bf16, ElementType::f16}) {
    for (const std::int64_t cols : {16, 80, 1040, 16400, 20000}) {
      const auto x = make_input(Pattern::random, type, 1, cols, 3);
      const auto r = make_input(Pattern::random, type, 1, cols, 4);
      const auto w = make_input(Pattern::random, type, 1, cols, 5);
      const NormedRow row = rmsnorm_row(x, r, w, {type, false, true, 1e-5F});
      double sum = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double h =
            static_cast<double>(to_float(type, x[i])) + static_cast<double>(to_float(type, r[i]));
        sum += h * h;
      }
      const double inverse = 1 / std::sqrt(sum / static_cast<double>(cols) + 1e-5);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double h =
            static_cast<double>(to_float(type, x[i])) + static_cast<double>(to_float(type, r[i]));
        const double y = h * inverse * (1 + static_cast<double>(to_float(type, w[i])));
        REQUIRE(std::fabs(static_cast<double>(row.y[i]) - y) <= 2e-6 * std::fabs(y) + 1e-7);
        REQUIRE(row.y_16[i] == from_float(type, row.y[i]));
        REQUIRE(row.sum_16[i] == from_float(type, static_cast<float>(h)));
      }
    }
  }
}

TEST_CASE("where the norm rounds", "[rmsnorm]") {
  const auto x = make_input(Pattern::random, ElementType::bf16, 1, 256, 8);
  const auto r = make_input(Pattern::random, ElementType::bf16, 1, 256, 9);
  const std::vector<std::uint16_t> w(256, float_to_bf16(1.5F));
  const NormedRow rounded = rmsnorm_row(x, r, w, {});
  const NormedRow unrounded = rmsnorm_row(x, r, w, {ElementType::bf16, false, false, 1e-6F});
  CHECK(rounded.sum_16 == unrounded.sum_16);
  CHECK(rounded.y_16 != unrounded.y_16);
  // Rounding first is the same as a separate addition.
  const NormedRow separate = rmsnorm_row(rounded.sum_16, {}, w, {});
  CHECK(separate.y_16 == rounded.y_16);
  CHECK(separate.sum_16.empty());
  CHECK(rounded.y == values_of(rounded.y_16, ElementType::bf16));
}

TEST_CASE("a row of zeros and a row with a NaN", "[rmsnorm]") {
  const std::vector<std::uint16_t> w(64, float_to_bf16(2.0F));
  std::vector<std::uint16_t> x(64, 0);
  x[3] = 0x8000;
  NormedRow row = rmsnorm_row(x, {}, w, {});
  CHECK(row.y_16[0] == 0);
  CHECK(row.y_16[3] == 0x8000);
  x[7] = 0xFFC1;
  row = rmsnorm_row(x, {}, w, {});
  CHECK(row.y_16[0] == 0x7FFF);
}

TEST_CASE("values of a 16-bit type quantize as the other references do", "[quantize-values]") {
  for (const ElementType type : {ElementType::bf16, ElementType::f16}) {
    for (const Pattern pattern : fourge::tests::all_patterns()) {
      const auto x = make_input(pattern, type, 4, 64, 11);
      const auto v = values_of(x, type);
      Nvfp4Problem problem;
      problem.x = x;
      problem.type = type;
      problem.rows = 4;
      problem.cols = 64;
      problem.global_scale = 37.0F;
      const auto tensor = quantize_nvfp4(problem);
      const auto token = quantize_nvfp4_per_token(problem, 1.0F / 2688.0F, {});
      const auto four = quantize_nvfp4_4over6(problem, {});
      const auto mx = quantize_mx({MxFormat::mxfp8, x, type, 4, 64, 64, ScaleLayout::linear});
      QuantizedRow all[4];
      for (std::size_t row = 0; row < 4; ++row) {
        const auto values = std::span(v).subspan(row * 64, 64);
        const QuantizedRow parts[4] = {
            quantize_values(values, {ValueFormat::nvfp4, false, 37.0F, {}, type}),
            quantize_values(values, {ValueFormat::nvfp4, true, 1.0F / 2688.0F, {}, type}),
            quantize_values(values, {ValueFormat::nvfp4, false, 37.0F, FourOverSix{}, type}),
            quantize_values(values, {ValueFormat::mxfp8, false, 1.0F, {}, type})};
        CHECK(parts[1].token_scale == token.token_scales[row]);
        for (std::size_t i = 0; i < 4; ++i) {
          all[i].codes.insert(all[i].codes.end(), parts[i].codes.begin(), parts[i].codes.end());
          all[i].scales.insert(all[i].scales.end(), parts[i].scales.begin(), parts[i].scales.end());
        }
      }
      CHECK(all[0].codes == tensor.codes);
      CHECK(all[0].scales == tensor.scales);
      CHECK(all[1].codes == token.blocks.codes);
      CHECK(all[1].scales == token.blocks.scales);
      CHECK(all[2].codes == four.codes);
      CHECK(all[2].scales == four.scales);
      CHECK(all[3].codes == mx.data);
      CHECK(all[3].scales == mx.scales);
    }
  }
}

TEST_CASE("FP8 with a scale given and with a row's own", "[quantize-values]") {
  const std::vector<float> v{
      1.0F, -2.0F, 1000.0F, 0.0F, std::nanf(""), 7.0F, -0.0F, 1e-30F, 0, 0, 0, 0, 0, 0, 0, 0};
  const auto given = quantize_values(v, {ValueFormat::fp8, false, 2.0F, {}, ElementType::bf16});
  CHECK(given.codes[0] == encode_e4m3(0.5F));
  CHECK(given.codes[2] == 0x7E);
  CHECK(given.codes[4] == 0x7F);
  CHECK(given.codes[6] == 0x80);
  const auto own = quantize_values(v, {ValueFormat::fp8, true, 0, {}, ElementType::bf16});
  CHECK(own.token_scale == 1000.0F / 448.0F);
  CHECK(own.codes[2] == 0x7E);
  const std::vector<float> zeros(16, 0.0F);
  const auto zero = quantize_values(zeros, {ValueFormat::fp8, true, 0, {}, ElementType::bf16});
  CHECK(zero.token_scale == 1.0F / 229376.0F);
  CHECK(zero.codes == std::vector<std::uint8_t>(16, 0));
}
