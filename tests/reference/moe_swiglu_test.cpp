#include "reference/moe_swiglu.hpp"

#include <cmath>
#include <limits>

#include "reference/formats.hpp"
#include "tests/support/catch.hpp"

namespace reference = fourge::reference;
using reference::MoeSwigluProblem;
using reference::Swiglu;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kLeast = std::numeric_limits<float>::min();

struct Result {
  std::vector<std::uint8_t> y;
  std::vector<float> scales;
};

// One row of [first half | second half], each 128 columns with the same scale.
Result one_row(const std::vector<float>& first, const std::vector<float>& second, float scale,
               const Swiglu& form) {
  std::vector<std::uint8_t> x(256, 0);
  for (std::size_t i = 0; i < first.size(); ++i) {
    x[i] = reference::encode_e4m3(first[i]);
    x[128 + i] = reference::encode_e4m3(second[i]);
  }
  const std::vector<float> scales{scale, scale};
  Result result{std::vector<std::uint8_t>(128), std::vector<float>(1)};
  const std::vector<std::int64_t> rows{0};
  reference::moe_swiglu_fp8_block({x, scales, 128, 1, form}, rows, result.y, result.scales);
  return result;
}

}  // namespace

TEST_CASE("SwiGLU of one pair", "[moe]") {
  CHECK(reference::swiglu(3, 0, {}) == 0);
  CHECK(reference::swiglu(2, 1000, {}) == 2000);
  CHECK(reference::swiglu(2, -1000, {}) == 0);
  CHECK(reference::swiglu(2, 1, {}) == Approx(2 / (1 + std::exp(-1.0))).epsilon(1e-6));
  const Swiglu clamped{true, false, 7, 1.702F, 1};
  CHECK(reference::swiglu(-100, 100, clamped) == Approx(-42 / (1 + std::exp(-11.914))));
  CHECK(reference::swiglu(100, -3, clamped) == Approx(8 * -3 / (1 + std::exp(5.106))));
  CHECK(std::isnan(reference::swiglu(kNan, 1, clamped)));
  CHECK(std::isnan(reference::swiglu(1, kNan, clamped)));
}

TEST_CASE("the second half is the gate, unless the first is", "[moe]") {
  // silu(448) = 448 and silu(-448) = 0.
  CHECK(one_row({-1}, {448}, 1, {}).y[0] == 0xFE);
  CHECK(one_row({-448}, {1}, 1, {false, true}).scales[0] == kLeast);
  CHECK(one_row({448}, {-1}, 1, {false, true}).y[0] == 0xFE);
}

TEST_CASE("scales are a / 448, and the data a true quotient", "[moe]") {
  const Result result = one_row({1, 0.5F, -0.25F}, {448, 448, 448}, 1, {});
  CHECK(result.scales[0] == 1);
  CHECK(result.y[0] == 0x7E);
  CHECK(result.y[1] == 0x76);
  CHECK(result.y[2] == 0xEE);
  CHECK(result.y[3] == 0);
}

TEST_CASE("a block of zeros has the least scale", "[moe]") {
  const Result result = one_row({0, -0.0F}, {1, 1}, 1, {});
  CHECK(result.scales[0] == kLeast);
  CHECK(result.y[0] == 0);
  CHECK(result.y[1] == 0x80);
  CHECK(one_row({1}, {1}, 0, {}).scales[0] == kLeast);
}

TEST_CASE("NaN and infinities stay where they are", "[moe]") {
  const Result nan = one_row({1, kNan}, {448, 448}, 1, {});
  CHECK(nan.scales[0] == 1);
  CHECK(nan.y[0] == 0x7E);
  CHECK(nan.y[1] == 0x7F);
  const Result inf = one_row({448, -1, 0}, {448, 448, 448}, 0x1p120F, {});
  CHECK(inf.scales[0] == kInfinity);
  CHECK(inf.y[0] == 0x7F);
  CHECK(inf.y[3] == 0);
}

TEST_CASE("only the named rows are written, at the stride of the rows in use", "[moe]") {
  constexpr std::int64_t kRows = 6;
  constexpr std::int64_t kStride = 4;
  std::vector<std::uint8_t> x(kRows * 512, reference::encode_e4m3(1));
  std::vector<float> x_scales(kRows * 4, 448.0F);
  std::vector<std::uint8_t> y(kRows * 256, 0xA5);
  std::vector<float> y_scales(kRows * 2, -3.0F);
  const std::vector<std::int64_t> rows{2, 0};
  // Row 2 alone has linear scales 2 and 3.
  x_scales[2] = 2;
  x_scales[kStride + 2] = 3;
  reference::moe_swiglu_fp8_block({x, x_scales, 256, kStride, {}}, rows, y, y_scales);
  CHECK(y_scales == std::vector<float>{448, -3, 2, -3, 448, -3, 3, -3, -3, -3, -3, -3});
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t row = i / 256;
    CHECK(y[i] == (row == 0 || row == 2 ? 0x7E : 0xA5));
  }
}
