#include "reference/mx.hpp"

#include <bit>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>

#include "reference/ue8m0.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace reference = fourge::reference;
using reference::ElementType;
using reference::MxBlock;
using reference::MxFormat;
using reference::MxProblem;
using reference::ScaleLayout;

namespace {

using Elements = std::array<std::uint16_t, 32>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr MxFormat kFormats[] = {MxFormat::mxfp4, MxFormat::mxfp8};
constexpr ElementType kTypes[] = {ElementType::bf16, ElementType::f16};

Elements elements(ElementType type, const std::function<float(int)>& value) {
  Elements x{};
  for (int i = 0; i < 32; ++i) {
    x[static_cast<std::size_t>(i)] = reference::from_float(type, value(i));
  }
  return x;
}

MxBlock quantize(MxFormat format, const std::function<float(int)>& value,
                 ElementType type = ElementType::bf16) {
  return quantize_mx_block(format, elements(type, value), type);
}

// Bytes as they lie in memory.
std::string hex(const std::vector<std::uint8_t>& bytes) {
  std::string text;
  for (const unsigned byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02X", byte & 0xFFU);
    text += digits;
  }
  return text;
}

reference::MxOutput quantize_one(MxFormat format, const Elements& x, ElementType type) {
  return reference::quantize_mx({format, x, type, 1, 32, 32, ScaleLayout::linear});
}

// A block whose largest magnitude has these bits.
MxBlock with_maximum(MxFormat format, ElementType type, unsigned bits) {
  Elements x{};
  x[17] = static_cast<std::uint16_t>(bits);
  return quantize_mx_block(format, x, type);
}

bool all_are(const std::vector<std::uint8_t>& codes, unsigned code) {
  for (const unsigned c : codes) {
    if (c != code) {
      return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("golden blocks of the MX formats", "[mx]") {
  const auto ramp = [](int i) { return static_cast<float>(i - 15) * 0.375F; };
  const auto outliers = [](int i) {
    return i == 7 ? 448.0F : i == 8 ? -6.5F : static_cast<float>(i) / 16.0F;
  };
  for (const ElementType type : kTypes) {
    INFO(to_string(type));
    const auto ramp4 = quantize_one(MxFormat::mxfp4, elements(type, ramp), type);
    CHECK(hex(ramp4.scales) == "7F");
    CHECK(hex(ramp4.data) == "FFEEEEDDCDBCAA092132445565667677");
    const auto ramp8 = quantize_one(MxFormat::mxfp8, elements(type, ramp), type);
    CHECK(hex(ramp8.scales) == "79");
    CHECK(hex(ramp8.data) == "FBFAFAF9F8F7F6F4F2F1EFECE9E4DC005C64696C6F717274767778797A7A7B7C");
    const auto outliers4 = quantize_one(MxFormat::mxfp4, elements(type, outliers), type);
    CHECK(hex(outliers4.scales) == "86");
    CHECK(hex(outliers4.data) == "00000060080000000000000000000000");
    const auto outliers8 = quantize_one(MxFormat::mxfp8, elements(type, outliers), type);
    CHECK(hex(outliers8.scales) == "7F");
    CHECK(hex(outliers8.data) ==
          "00182024282A2C7ECD313233343536373838393A3A3A3B3C3C3C3D3E3E3E3F40");
  }
}

TEST_CASE("UE8M0 rounds up and saturates", "[mx]") {
  CHECK(reference::encode_ue8m0(0.0F) == 0);
  CHECK(reference::encode_ue8m0(0x1p-149F) == 0);
  CHECK(reference::encode_ue8m0(0x1p-127F) == 0);
  CHECK(reference::encode_ue8m0(std::nextafter(0x1p-127F, 1.0F)) == 1);
  CHECK(reference::encode_ue8m0(0x1p-126F) == 1);
  CHECK(reference::encode_ue8m0(std::nextafter(0x1p-126F, 1.0F)) == 2);
  CHECK(reference::encode_ue8m0(1.0F) == 127);
  CHECK(reference::encode_ue8m0(std::nextafter(1.0F, 2.0F)) == 128);
  CHECK(reference::encode_ue8m0(0x1p127F) == 254);
  CHECK(reference::encode_ue8m0(std::numeric_limits<float>::max()) == 254);
  CHECK(reference::encode_ue8m0(kInfinity) == 254);
  CHECK(reference::encode_ue8m0(kNan) == 255);
  for (unsigned code = 0; code < 255; ++code) {
    const float value = reference::decode_ue8m0(static_cast<std::uint8_t>(code));
    CHECK(value == std::ldexp(1.0F, static_cast<int>(code) - 127));
    CHECK(reference::encode_ue8m0(value) == code);
  }
  CHECK(std::isnan(reference::decode_ue8m0(255)));
}

TEST_CASE("the scale byte has an integer form", "[mx]") {
  // With a maximum of m * 2^e, 1 <= m < 2: the power of two below it, divided by that below the
  // largest code (4 or 256), doubled if m exceeds the largest code's significand (1.5 or 1.75).
  for (const ElementType type : kTypes) {
    const unsigned infinity = type == ElementType::bf16 ? 0x7F80U : 0x7C00U;
    for (unsigned bits = 1; bits < infinity; ++bits) {
      const float a = to_float(type, static_cast<std::uint16_t>(bits));
      const int e = std::ilogb(a);
      const float m = std::scalbn(a, -e);
      INFO(to_string(type) << " " << bits);
      if (a >= 6.0F * 0x1p-126F) {
        REQUIRE(with_maximum(MxFormat::mxfp4, type, bits).scale == e - 2 + 127 + (m > 1.5F));
      }
      if (a >= 448.0F * 0x1p-126F) {
        REQUIRE(with_maximum(MxFormat::mxfp8, type, bits).scale == e - 8 + 127 + (m > 1.75F));
      }
    }
  }
}

TEST_CASE("blocks whose unrounded scale is subnormal are zero blocks", "[mx]") {
  // Below 6 or 448 times 2^-126; without flushing, the upper half of the window would have scale 1.
  int in_window = 0;
  for (unsigned bits = 0; bits < 0x7F80U; ++bits) {
    const float a = reference::bf16_to_float(static_cast<std::uint16_t>(bits));
    for (const MxFormat format : kFormats) {
      const float largest = format == MxFormat::mxfp4 ? 6.0F : 448.0F;
      const MxBlock block = with_maximum(format, ElementType::bf16, bits);
      INFO(bits);
      REQUIRE((block.scale == 0) == (a < largest * 0x1p-126F));
      if (block.scale == 0) {
        REQUIRE(all_are(block.codes, 0));
      }
      in_window += a > largest * 0x1p-127F && a < largest * 0x1p-126F ? 1 : 0;
    }
  }
  CHECK(in_window == 2 * 127);
  const MxBlock edge = with_maximum(MxFormat::mxfp8, ElementType::bf16, 0x8000U | 0x04E0U);
  CHECK(edge.scale == 1);
  CHECK(edge.codes[17] == 0xFE);
}

TEST_CASE("a zero block keeps the sign of its zeros", "[mx]") {
  const auto zeros = [](int i) { return i % 3 == 1 ? -0.0F : 0.0F; };
  for (const ElementType type : kTypes) {
    for (const MxFormat format : kFormats) {
      const MxBlock block = quantize(format, zeros, type);
      CHECK(block.scale == 0);
      for (std::size_t i = 0; i < 32; ++i) {
        const unsigned minus_zero = format == MxFormat::mxfp4 ? 0x8U : 0x80U;
        CHECK(block.codes[i] == (i % 3 == 1 ? minus_zero : 0U));
      }
    }
  }
}

TEST_CASE("an infinity takes everything else in its block to zero", "[mx]") {
  const auto values = [](int i) {
    return i == 3 ? kInfinity : i == 4 ? -kInfinity : i == 5 ? -1000.0F : i == 6 ? kNan : 1.0F;
  };
  for (const ElementType type : kTypes) {
    for (const MxFormat format : kFormats) {
      const bool fp4 = format == MxFormat::mxfp4;
      const MxBlock block = quantize(format, values, type);
      CHECK(block.scale == 0xFE);
      CHECK(block.multiplier == 0.0F);
      for (const std::size_t i : {std::size_t{3}, std::size_t{4}, std::size_t{6}}) {
        CHECK(block.codes[i] == (fp4 ? 0x7 : 0x7E));
      }
      CHECK(block.codes[5] == (fp4 ? 0x8 : 0x80));
      CHECK(block.codes[0] == 0);
    }
  }
}

TEST_CASE("NaN has no part in the maximum and becomes the largest value", "[mx]") {
  const auto one = [](int i) { return i % 2 == 1 ? std::copysign(kNan, -1.0F) : 1.0F; };
  const auto all = [](int i) { return i % 2 == 1 ? -kNan : kNan; };
  for (const ElementType type : kTypes) {
    for (const MxFormat format : kFormats) {
      const bool fp4 = format == MxFormat::mxfp4;
      const MxBlock block = quantize(format, one, type);
      CHECK(block.scale == (fp4 ? 127 - 2 : 127 - 8));
      for (std::size_t i = 0; i < 32; ++i) {
        const unsigned number = fp4 ? 0x6U : 0x78U;  // 4 and 256
        CHECK(block.codes[i] == (i % 2 == 1 ? (fp4 ? 0x7U : 0x7EU) : number));
      }
      const MxBlock nothing = quantize(format, all, type);
      CHECK(nothing.scale == 0);
      CHECK(all_are(nothing.codes, fp4 ? 0x7 : 0x7E));
    }
  }
}

TEST_CASE("the largest bf16 still has a scale", "[mx]") {
  const MxBlock fp8 = with_maximum(MxFormat::mxfp8, ElementType::bf16, 0x7F7F);
  CHECK(fp8.scale == 127 + 127 - 8 + 1);
  CHECK(fp8.codes[17] == 0x78);  // 255 rounds to 256
  const MxBlock fp4 = with_maximum(MxFormat::mxfp4, ElementType::bf16, 0xFF7F);
  CHECK(fp4.scale == 127 + 127 - 2 + 1);
  CHECK(fp4.codes[17] == 0xE);  // -3.98 rounds to -4
}

TEST_CASE("MXFP8 pads columns of data and of scales with zeros", "[mx]") {
  const std::vector<std::uint16_t> x(9 * 32, 0x3F80);
  for (const auto layout :
       {ScaleLayout::linear, ScaleLayout::tiled_128x4, ScaleLayout::tiled_8x4}) {
    const MxProblem problem{MxFormat::mxfp8, x, ElementType::bf16, 9, 32, 96, layout};
    const auto output = quantize_mx(problem);
    REQUIRE(output.data.size() == 9 * 96);
    for (std::size_t i = 0; i < output.data.size(); ++i) {
      REQUIRE(output.data[i] == (i % 96 < 32 ? 0x78 : 0x00));
    }
    const auto matrix = problem.scale_matrix();
    CHECK(matrix.cols() == 3);
    REQUIRE(output.scales.size() == matrix.bytes());
    for (std::int64_t row = 0; row < matrix.padded_rows(); ++row) {
      for (std::int64_t col = 0; col < matrix.padded_cols(); ++col) {
        REQUIRE(output.scales[matrix.offset(row, col)] == (row < 9 && col == 0 ? 127 - 8 : 0));
      }
    }
  }
}

TEST_CASE("what MX formats decode to is near what was encoded", "[mx]") {
  for (const ElementType type : kTypes) {
    const auto x = fourge::tests::make_input(fourge::tests::Pattern::random, type, 65, 32, 3);
    for (std::size_t row = 0; row < 65; ++row) {
      const auto values = std::span(x).subspan(row * 32).first<32>();
      for (const MxFormat format : kFormats) {
        const bool fp4 = format == MxFormat::mxfp4;
        const MxBlock block = quantize_mx_block(format, values, type);
        const float scale = reference::decode_ue8m0(block.scale);
        for (std::size_t i = 0; i < 32; ++i) {
          const float value = reference::to_float(type, values[i]);
          const float decoded = scale * (fp4 ? reference::decode_e2m1(block.codes[i])
                                             : reference::decode_e4m3(block.codes[i]));
          // Half a unit in the last place: a quarter (an eighth of a half) of the value's power of
          // two, or of the smallest normal's.
          const float bound = fp4 ? std::max(std::fabs(value) / 4, scale / 4)
                                  : std::max(std::fabs(value) / 16, scale * 0x1p-10F);
          REQUIRE(std::fabs(decoded - value) <= bound);
        }
      }
    }
  }
}

TEST_CASE("MX: the number of threads does not matter", "[mx]") {
  const auto x =
      fourge::tests::make_input(fourge::tests::Pattern::specials, ElementType::f16, 37, 224, 1);
  const MxProblem problem{MxFormat::mxfp8,         x, ElementType::f16, 37, 224, 256,
                          ScaleLayout::tiled_128x4};
  const auto one = quantize_mx(problem);
  for (const unsigned threads : {2U, 37U, 64U}) {
    const auto many = quantize_mx(problem, threads);
    CHECK(many.data == one.data);
    CHECK(many.scales == one.scales);
  }
}

TEST_CASE("MX: shapes that do not fit are refused, no rows are fine", "[mx]") {
  const std::vector<std::uint16_t> x(128);
  const MxProblem good{MxFormat::mxfp8, x, ElementType::bf16, 2, 64, 96, ScaleLayout::linear};
  CHECK(quantize_mx(good).data.size() == 2 * 96);
  const auto refused = [&](const std::function<void(MxProblem&)>& change) {
    MxProblem problem = good;
    change(problem);
    CHECK_THROWS_AS(quantize_mx(problem), std::invalid_argument);
  };
  refused([](MxProblem& p) { p.rows = 3; });
  refused([](MxProblem& p) { p.rows = 8, p.cols = 16, p.padded_cols = 32; });
  refused([](MxProblem& p) { p.padded_cols = 32; });
  refused([](MxProblem& p) { p.padded_cols = 80; });
  refused([](MxProblem& p) { p.format = MxFormat::mxfp4; });
  refused([](MxProblem& p) { p.rows = -2, p.cols = -64; });
  MxProblem none = good;
  none.x = {};
  none.rows = 0;
  CHECK(quantize_mx(none, 4).data.empty());
  CHECK(quantize_mx(none, 4).scales.empty());
}
