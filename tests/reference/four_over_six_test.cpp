#include "reference/nvfp4_4over6.hpp"

#include <bit>
#include <cstdio>
#include <limits>
#include <string>

#include "tests/support/catch.hpp"
#include "tests/support/vectors.hpp"

namespace reference = fourge::reference;
using reference::ElementType;
using reference::ErrorMath;
using reference::ErrorMetric;
using reference::FourOverSix;
using reference::FourOverSixBlock;
using reference::MathMode;

namespace {

using Values = std::array<float, 16>;

// Published golden blocks.
constexpr Values kA = {0, .5F, 1, 1.5F, 2, 2.5F, 3, 3.5F, 4, 4.5F, 5, 5.5F, 6, -6, -.25F, -0.0F};
constexpr Values kB = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16};
constexpr Values kC = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4};

constexpr FourOverSix kMae448{ErrorMetric::mae, 448, ErrorMath::strict};
constexpr FourOverSix kMae256{ErrorMetric::mae, 256, ErrorMath::strict};
constexpr FourOverSix kMse256{ErrorMetric::mse, 256, ErrorMath::strict};

float from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }
std::uint32_t to_bits(float value) { return std::bit_cast<std::uint32_t>(value); }

FourOverSixBlock quantize(const Values& values, std::uint32_t global_scale_bits,
                          const FourOverSix& config, float row_maximum = 0.0F,
                          MathMode math = MathMode::exact) {
  std::array<std::uint16_t, 16> x{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    x[i] = reference::float_to_bf16(values[i]);
  }
  return quantize_4over6_block(x, ElementType::bf16, from_bits(global_scale_bits), math, config,
                               row_maximum);
}

std::string hex(const FourOverSixBlock& block) {
  std::string text;
  for (const unsigned byte : block.chosen.codes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02X", byte & 0xFFU);
    text += digits;
  }
  return text;
}

}  // namespace

TEST_CASE("golden blocks of 4over6: the tensor's own maximum", "[4over6]") {
  for (const ErrorMetric metric : {ErrorMetric::mae, ErrorMetric::mse}) {
    for (const ErrorMath error_math : {ErrorMath::strict, ErrorMath::fast}) {
      // Both candidates saturate at 448 and are the same.
      const FourOverSixBlock a = quantize(kA, 0x43E0'0000U, {metric, 448, error_math});
      CHECK(a.chosen.scale == 0x7E);
      CHECK(hex(a) == "103244656676F788");
      CHECK(to_bits(a.error_4) == to_bits(a.error_6));
      CHECK_FALSE(a.chose_4);
      const FourOverSixBlock c = quantize(kC, 0x43C0'0000U, {metric, 256, error_math});
      CHECK(c.chosen.scale == 0x7C);
      CHECK(hex(c) == "5555555555555565");
      CHECK(c.error_4 == 0.0F);
      CHECK(c.chose_4);
      const FourOverSixBlock c448 = quantize(kC, 0x4428'0000U, {metric, 448, error_math});
      CHECK(c448.chosen.scale == 0x7E);
      CHECK(hex(c448) == "6666666666666676");
    }
  }
}

TEST_CASE("golden blocks of 4over6: equal errors pick 6", "[4over6]") {
  const FourOverSixBlock mae = quantize(kA, 0x4380'0000U, kMae256);
  CHECK(mae.chosen.scale == 0x78);
  CHECK(hex(mae) == "103244656676F788");
  CHECK(mae.error_4 == 3.25F);
  CHECK(mae.error_6 == 3.25F);
  const FourOverSixBlock mse = quantize(kA, 0x4380'0000U, kMse256);
  CHECK(mse.chosen.scale == 0x7C);
  CHECK(hex(mse) == "102133445565E688");
  CHECK(to_bits(mse.error_4) == 0x3FA8'0000U);
  CHECK(to_bits(mse.error_6) == 0x4004'0000U);
}

TEST_CASE("golden blocks of 4over6: errors that rounding decides", "[4over6]") {
  const FourOverSixBlock tensor = quantize(kA, 0x4309'D89EU, kMae448);
  CHECK(tensor.chosen.scale == 0x75);
  CHECK(hex(tensor) == "102133445565E688");
  CHECK(to_bits(tensor.error_4) == 0x4059'248FU);
  CHECK(to_bits(tensor.error_6) == 0x4080'4924U);
  const FourOverSixBlock token = quantize(kA, 0x4309'D89EU, kMae448, 19.5F);
  CHECK(token.chosen.scale == 0x75);
  CHECK(hex(token) == "102133445565E688");
  CHECK(to_bits(token.error_4) == 0x4059'2491U);

  const FourOverSixBlock mae = quantize(kA, 0x429D'89D9U, kMae256);
  CHECK(mae.chosen.scale == 0x6A);
  CHECK(hex(mae) == "103244556676F788");
  CHECK(to_bits(mae.error_4) == 0x4067'FFF8U);
  CHECK(to_bits(mae.error_6) == 0x4060'FFFBU);
  const FourOverSixBlock mse = quantize(kA, 0x429D'89D9U, kMse256);
  CHECK(mse.chosen.scale == 0x6F);
  CHECK(hex(mse) == "102133445565E688");
  CHECK(to_bits(mse.error_4) == 0x3FB4'41F9U);
  CHECK(to_bits(mse.error_6) == 0x3FF7'CC07U);

  const FourOverSixBlock b16 = quantize(kB, 0x42C0'0000U, kMse256);
  CHECK(b16.chosen.scale == 0x78);
  CHECK(hex(b16) == "A1B2C4D5E5E6F6F7");
  CHECK(to_bits(b16.error_4) == 0x4180'0000U);
  CHECK(to_bits(b16.error_6) == 0x417F'FFFEU);
  const FourOverSixBlock b52 = quantize(kB, 0x424E'C4ECU, {ErrorMetric::mae, 448, ErrorMath::fast});
  CHECK(b52.chosen.scale == 0x75);
  CHECK(hex(b52) == "90A1B2C3C4D5D5E6");
  CHECK(to_bits(b52.error_4) == 0x441C'EC50U);
  CHECK(to_bits(b52.error_6) == 0x4433'89DBU);
}

TEST_CASE("a zero block of 4over6 has only zero bytes", "[4over6]") {
  Values values{};
  values[1] = -0.0F;
  values[2] = std::numeric_limits<float>::quiet_NaN();
  for (const MathMode math : {MathMode::exact, MathMode::fast}) {
    const FourOverSixBlock block = quantize(values, 0x43E0'0000U, kMae448, 0.0F, math);
    CHECK(block.chosen.scale == 0x00);
    CHECK(hex(block) == "0000000000000000");
  }
}

TEST_CASE("NaN and overflowing errors pick 6", "[4over6]") {
  Values values = kA;
  values[3] = std::numeric_limits<float>::quiet_NaN();
  // Without the NaN, this block picks 4.
  const FourOverSixBlock nan = quantize(values, 0x4309'D89EU, kMae448);
  CHECK(nan.chosen.scale == 0x71);
  CHECK_FALSE(nan.chose_4);

  values.fill(0x1.fep127F);  // bf16's largest, squared
  const FourOverSixBlock large = quantize(values, 0x3F80'0000U, kMse256, 0x1.fep127F);
  CHECK(large.error_4 == std::numeric_limits<float>::infinity());
  CHECK(large.error_6 == std::numeric_limits<float>::infinity());
  CHECK_FALSE(large.chose_4);
}

TEST_CASE("4over6 with a tensor scale equals the known answers", "[4over6][vectors]") {
  int results = 0;
  for (const auto& entry : fourge::tests::load_vectors()) {
    for (const ErrorMetric metric : {ErrorMetric::mae, ErrorMetric::mse}) {
      for (const int e4m3_max : {448, 256}) {
        for (const ErrorMath error_math : {ErrorMath::strict, ErrorMath::fast}) {
          const std::string config =
              std::string("4over6-") + (metric == ErrorMetric::mae ? "mae-" : "mse-") +
              std::to_string(e4m3_max) + (error_math == ErrorMath::strict ? "-exact" : "-fp16err");
          INFO(entry.name() << " " << config);
          const auto& answer = entry.result(config, "tensor");
          const reference::Nvfp4Problem problem{entry.x,
                                                entry.type,
                                                entry.rows,
                                                entry.cols,
                                                answer.global_scale,
                                                MathMode::exact,
                                                reference::ScaleLayout::linear};
          const auto output = quantize_nvfp4_4over6(problem, {metric, e4m3_max, error_math}, 2);
          CHECK(output.codes == answer.codes);
          CHECK(output.scales == answer.scales);
          ++results;
        }
      }
    }
  }
  CHECK(results == 60 * 8);
}
