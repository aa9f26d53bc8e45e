#include "reference/dequantize.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "tests/support/catch.hpp"

using namespace fourge::reference;
using Bytes = std::vector<std::uint8_t>;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The golden block A of the numerics contract: values that E2M1 holds, its ties and both zeros.
const Bytes kGoldenA{0x10, 0x32, 0x44, 0x65, 0x66, 0x76, 0xF7, 0x88};

std::vector<float> nvfp4(std::uint8_t scale, float g, const Bytes& codes = kGoldenA) {
  DequantizeProblem problem;
  problem.codes = codes;
  problem.scales = {&scale, 1};
  problem.rows = 1;
  problem.cols = 16;
  problem.padded_cols = 16;
  problem.decode_scales = {&g, 1};
  return dequantize(problem);
}

// One block of 32 equal codes (MXFP4: nibbles); the first element.
float mx(BlockFormat format, std::uint8_t code, std::uint8_t scale) {
  const Bytes codes(format == BlockFormat::mxfp8 ? 32 : 16, code);
  DequantizeProblem problem;
  problem.format = format;
  problem.codes = codes;
  problem.scales = {&scale, 1};
  problem.rows = 1;
  problem.cols = 32;
  problem.padded_cols = 32;
  return dequantize(problem).at(0);
}

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

}  // namespace

TEST_CASE("a golden NVFP4 block comes back", "[dequantize]") {
  // Scale 448, tensor maximum 6: g = 1 / 448.
  const std::vector<float> expected{0, .5F, 1, 1.5F, 2, 2, 3, 4, 4, 4, 4, 6, 6, -6, -0.0F, -0.0F};
  const auto found = nvfp4(0x7E, 1.0F / 448.0F);
  REQUIRE(found.size() == 16);
  const float w = 448.0F * (1.0F / 448.0F);
  for (std::size_t i = 0; i < 16; ++i) {
    CHECK(bits(found[i]) == bits(expected[i] * w));
  }
}

TEST_CASE("the block scale is multiplied by the global scale first", "[dequantize]") {
  // Some g for which (e2m1 * scale) * g and e2m1 * (scale * g) differ.
  int different = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const float g = std::bit_cast<float>(0x3A00'0000U + i * 7919U);
    const float s = 13.0F;  // byte 0x55
    const float found = nvfp4(0x55, g).at(3);
    const float w = s * g;
    CHECK(bits(found) == bits(1.5F * w));
    different += 1.5F * w != (1.5F * s) * g ? 1 : 0;
  }
  CHECK(different > 100);
}

TEST_CASE("NVFP4 dequantization: zeros, NaN, flushed and large products", "[dequantize]") {
  CHECK(bits(nvfp4(0x00, 1.0F).at(13)) == bits(-0.0F));
  CHECK(bits(nvfp4(0x7E, 0.0F).at(12)) == bits(0.0F));
  CHECK(std::isnan(nvfp4(0x7F, 1.0F).at(0)));
  CHECK(std::isnan(nvfp4(0xFF, 1.0F).at(5)));
  // w = 2^-9 * 2^-118 is subnormal, so that even 6 * w, which is not, is zero.
  CHECK(nvfp4(0x01, 0x1p-118F).at(12) == 0.0F);
  CHECK(nvfp4(0x01, 0x1p-117F).at(12) == 6 * 0x1p-126F);
  CHECK(nvfp4(0x01, 0x1p-117F).at(1) == 0.0F);
  CHECK(nvfp4(0x7E, 0x1p-130F).at(12) == 0.0F);  // the operand is flushed
  CHECK(nvfp4(0x38, 0x1p126F).at(13) == -kInfinity);
  CHECK(nvfp4(0x38, 0x1p126F).at(4) == 0x1p127F);
}

TEST_CASE("MX scale bytes 0 and 255", "[dequantize]") {
  for (const auto format : {BlockFormat::mxfp4, BlockFormat::mxfp8}) {
    CHECK(bits(mx(format, 0x77, 0)) == bits(0.0F));
    CHECK(bits(mx(format, 0xFE, 0)) == bits(-0.0F));
    CHECK(std::isnan(mx(format, 0x00, 255)));
  }
  CHECK(mx(BlockFormat::mxfp4, 0x77, 1) == 6 * 0x1p-126F);
  CHECK(mx(BlockFormat::mxfp4, 0x11, 1) == 0.0F);  // half of 2^-126
  CHECK(mx(BlockFormat::mxfp4, 0x66, 254) == kInfinity);
  CHECK(mx(BlockFormat::mxfp4, 0xBB, 254) == -1.5F * 0x1p127F);
  CHECK(mx(BlockFormat::mxfp8, 0x7E, 127) == 448.0F);
  CHECK(mx(BlockFormat::mxfp8, 0x81, 127) == -0x1p-9F);
  CHECK(std::isnan(mx(BlockFormat::mxfp8, 0x7F, 127)));
  CHECK(std::isnan(mx(BlockFormat::mxfp8, 0xFF, 127)));
}

TEST_CASE("padding columns, batches and row scales find their places", "[dequantize]") {
  // Two rows of 32 columns padded to 64: the second block of each row is not read.
  Bytes data(128, 0x38);
  data[64] = 0x40;
  const Bytes scales{127, 1, 128, 2};
  DequantizeProblem problem;
  problem.format = BlockFormat::mxfp8;
  problem.codes = data;
  problem.scales = scales;
  problem.rows = 2;
  problem.cols = 32;
  problem.padded_cols = 64;
  const auto found = dequantize(problem);
  REQUIRE(found.size() == 64);
  CHECK(found[0] == 1.0F);
  CHECK(found[31] == 1.0F);
  CHECK(found[32] == 4.0F);
  CHECK(found[33] == 2.0F);

  const Bytes codes(4 * 8, 0x22);
  Bytes tiled(2 * 128 * 4, 0);
  tiled[0] = 0x38;         // batch 0, row 0
  tiled[16] = 0x40;        // row 1
  tiled[512 + 16] = 0x48;  // batch 1, row 1
  const float rows[] = {3.0F, 5.0F};
  DequantizeProblem batched;
  batched.codes = codes;
  batched.scales = tiled;
  batched.batches = 2;
  batched.rows = 2;
  batched.cols = 16;
  batched.padded_cols = 16;
  batched.layout = ScaleLayout::tiled_128x4;
  batched.decode_scales = rows;
  const auto values = dequantize(batched);
  CHECK(values[0] == 3.0F);
  CHECK(values[16] == 10.0F);
  CHECK(values[32] == 0.0F);
  CHECK(values[48] == 20.0F);
}

TEST_CASE("sizes that do not fit together are refused", "[dequantize]") {
  const Bytes codes(16, 0);
  const Bytes scales(1, 0);
  DequantizeProblem problem;
  problem.format = BlockFormat::mxfp4;
  problem.codes = codes;
  problem.scales = scales;
  problem.rows = 1;
  problem.cols = 32;
  problem.padded_cols = 32;
  CHECK(dequantize(problem).size() == 32);
  auto wrong = problem;
  wrong.padded_cols = 64;  // only MXFP8 is padded
  CHECK_THROWS_AS(dequantize(wrong), std::invalid_argument);
  wrong = problem;
  wrong.rows = 2;
  CHECK_THROWS_AS(dequantize(wrong), std::invalid_argument);
  wrong = problem;
  wrong.scales = codes;
  CHECK_THROWS_AS(dequantize(wrong), std::invalid_argument);
}

TEST_CASE("output types: rounding, overflow, NaN, byte order", "[dequantize]") {
  const float values[] = {1.0F + 0x1p-8F, -70000.0F, std::nanf(""), 0x1p-24F, 0x1p-25F};
  const Bytes bf16{0x80, 0x3F, 0x89, 0xC7, 0xFF, 0x7F, 0x80, 0x33, 0x00, 0x33};
  const Bytes f16{0x04, 0x3C, 0x00, 0xFC, 0xFF, 0x7F, 0x01, 0x00, 0x00, 0x00};
  CHECK(to_bytes(values, FloatType::bf16) == bf16);
  CHECK(to_bytes(values, FloatType::f16) == f16);
  const auto f32 = to_bytes(std::span(values).subspan(1, 2), FloatType::f32);
  CHECK(f32 == Bytes{0x00, 0xB8, 0x88, 0xC7, 0xFF, 0xFF, 0xFF, 0x7F});
}
