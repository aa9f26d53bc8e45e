#include "runtime/host/float_ops.hpp"

#include <cmath>
#include <cstdint>

#include "tests/support/catch.hpp"

namespace fourge::tests {

namespace {

float f(unsigned bits) { return fourge_host::uint_as_float(bits); }
unsigned u(float value) { return fourge_host::float_as_uint(value); }

constexpr unsigned kInfinity = 0x7F800000U;
constexpr unsigned kNan = 0x7FFFFFFFU;
constexpr unsigned kMinNormal = 0x00800000U;
constexpr unsigned kMaxSubnormal = 0x007FFFFFU;
constexpr unsigned kSign = 0x80000000U;

}  // namespace

TEST_CASE("flush keeps all but subnormals, and their sign", "[host]") {
  CHECK(u(fourge_host::flush(f(kMaxSubnormal))) == 0U);
  CHECK(u(fourge_host::flush(f(kSign | 1U))) == kSign);
  CHECK(u(fourge_host::flush(f(kMinNormal))) == kMinNormal);
  CHECK(u(fourge_host::flush(f(kSign))) == kSign);
  CHECK(u(fourge_host::flush(f(kSign | kInfinity))) == (kSign | kInfinity));
}

TEST_CASE("operands and results are flushed", "[host]") {
  // Operands: 2^100 times the largest subnormal would be normal.
  CHECK(u(fourge_host::mul_rn(f(kMaxSubnormal), 0x1p100F)) == 0U);
  CHECK(u(fourge_host::mul_rn(f(kSign | kMaxSubnormal), 0x1p100F)) == kSign);
  CHECK(u(fourge_host::add_rn(f(kMaxSubnormal), f(1U))) == 0U);
  CHECK(u(fourge_host::fma_rn(f(kMaxSubnormal), 0x1p100F, 1.0F)) == u(1.0F));
  CHECK(u(fourge_host::sqrt_rn(f(kMaxSubnormal))) == 0U);
  // Results.
  CHECK(u(fourge_host::mul_rn(0x1p-100F, -0x1p-27F)) == kSign);
  CHECK(u(fourge_host::sub_rn(f(kMinNormal), f(kMinNormal + 1U))) == kSign);
  CHECK(u(fourge_host::div_rn(f(kMinNormal), 2.0F)) == 0U);
  CHECK(u(fourge_host::fma_rn(0x1p-100F, 0x1p-27F, 0.0F)) == 0U);
  // Neither.
  CHECK(u(fourge_host::mul_rn(f(kMinNormal), 1.0F)) == kMinNormal);
}

TEST_CASE("one rounding per operation", "[host]") {
  const float a = 1.0F + 0x1p-12F;
  CHECK(fourge_host::mul_rn(a, a) == 1.0F + 0x1p-11F);
  CHECK(fourge_host::fma_rn(a, a, -(1.0F + 0x1p-11F)) == 0x1p-24F);
  CHECK(fourge_host::add_rn(0x1p24F, 1.0F) == 0x1p24F);
  CHECK(fourge_host::add_rn(0x1p24F, 3.0F) == 0x1p24F + 4.0F);
  CHECK(u(fourge_host::div_rn(1.0F, 6.0F)) == 0x3E2AAAABU);
  CHECK(u(fourge_host::rcp_rn(448.0F)) == 0x3B124925U);
  CHECK(u(fourge_host::sqrt_rn(2.0F)) == 0x3FB504F3U);
}

TEST_CASE("pairs of bf16 are multiplied and added with one rounding, subnormals as they are",
          "[host]") {
  const auto fma = [](unsigned a, unsigned b, unsigned c) {
    // Halves do not touch each other.
    CHECK(fourge_host::fma_bf16_pair(a << 16 | 0x3F80U, b << 16 | 0x3F80U, c << 16) ==
          (fourge_host::fma_bf16(a, b, c) << 16 | 0x3F80U));
    return fourge_host::fma_bf16(a, b, c);
  };
  CHECK(fma(0x4000, 0x4040, 0x3F80) == 0x40E0);  // 2 * 3 + 1
  CHECK(fma(0x3F81, 0x3F81, 0xBF82) == 0x3880);  // 2^-14 is left of (1 + 2^-7)^2
  // Ties go to even; less than half a step, however little, does not count, and more does.
  CHECK(fma(0x3F80, 0x3F80, 0x3B80) == 0x3F80);
  CHECK(fma(0x3F81, 0x3F80, 0x3B80) == 0x3F82);
  CHECK(fma(0x3F80, 0x3F80, 0x3B81) == 0x3F81);
  CHECK(fma(0x3F81, 0x3F80, 0x3B7F) == 0x3F81);
  CHECK(fma(0x3F80, 0x3F80, 0x0001) == 0x3F80);
  CHECK(fma(0x4080, 0x0080, 0x8000) == 0x0180);  // 4 * 2^-126
  CHECK(fma(0x3F00, 0x0080, 0x8000) == 0x0040);
  CHECK(fma(0x3F80, 0x0001, 0x8000) == 0x0001);
  CHECK(fma(0x3F00, 0x0001, 0x8000) == 0x0000);  // a tie
  CHECK(fma(0x3F00, 0x0003, 0x8000) == 0x0002);
  CHECK(fma(0x3F80, 0x0000, 0x8000) == 0x0000);
  CHECK(fma(0xBF80, 0x0000, 0x8000) == 0x8000);
  CHECK(fma(0x7F7F, 0x4000, 0) == 0x7F80);
  CHECK(fma(0xFF7F, 0x4000, 0) == 0xFF80);
  CHECK(fma(0x7F80, 0, 0) == 0x7FFF);
  CHECK(fma(0x7FC0, 0x3F80, 0x3F80) == 0x7FFF);
}

TEST_CASE("not-a-number results are canonical", "[host]") {
  const float infinity = f(kInfinity);
  CHECK(u(fourge_host::mul_rn(0.0F, infinity)) == kNan);
  CHECK(u(fourge_host::add_rn(infinity, -infinity)) == kNan);
  CHECK(u(fourge_host::add_rn(f(0xFFC00001U), 1.0F)) == kNan);
  CHECK(u(fourge_host::div_rn(0.0F, 0.0F)) == kNan);
  CHECK(u(fourge_host::div_rn(infinity, infinity)) == kNan);
  CHECK(u(fourge_host::div_rn(f(kNan), 0.0F)) == kNan);
  CHECK(u(fourge_host::sqrt_rn(-1.0F)) == kNan);
  CHECK(u(fourge_host::sqrt_rn(-0.0F)) == kSign);
}

TEST_CASE("reciprocals of zeros, infinities and the very large", "[host]") {
  for (const auto rcp : {&fourge_host::rcp_rn, &fourge_host::rcp_approx}) {
    CHECK(u(rcp(0.0F)) == kInfinity);
    CHECK(u(rcp(-0.0F)) == (kSign | kInfinity));
    CHECK(u(rcp(f(kMaxSubnormal))) == kInfinity);
    CHECK(u(rcp(f(kSign | 1U))) == (kSign | kInfinity));
    CHECK(u(rcp(f(kInfinity))) == 0U);
    CHECK(u(rcp(f(kSign | kInfinity))) == kSign);
    CHECK(u(rcp(0x1p126F)) == kMinNormal);
    CHECK(u(rcp(std::nextafter(0x1p126F, 0x1p127F))) == 0U);
    CHECK(u(rcp(-0x1p127F)) == kSign);
    CHECK(u(rcp(f(0x7FC00000U))) == kNan);
    CHECK(u(rcp(6.0F)) == 0x3E2AAAABU);
  }
}

TEST_CASE("minimum and maximum prefer numbers and order zeros", "[host]") {
  const float nan = f(0x7FC00000U);
  CHECK(fourge_host::min(nan, 2.0F) == 2.0F);
  CHECK(fourge_host::min(2.0F, nan) == 2.0F);
  CHECK(fourge_host::max(nan, 2.0F) == 2.0F);
  CHECK(fourge_host::max(2.0F, nan) == 2.0F);
  CHECK(u(fourge_host::min(nan, nan)) == kNan);
  CHECK(u(fourge_host::max(nan, nan)) == kNan);
  CHECK(u(fourge_host::min(0.0F, -0.0F)) == kSign);
  CHECK(u(fourge_host::min(-0.0F, 0.0F)) == kSign);
  CHECK(u(fourge_host::max(0.0F, -0.0F)) == 0U);
  CHECK(u(fourge_host::max(-0.0F, 0.0F)) == 0U);
  CHECK(u(fourge_host::max(f(kMaxSubnormal), -1.0F)) == 0U);
  CHECK(fourge_host::min(1.0F, -2.0F) == -2.0F);
  CHECK(fourge_host::max(1.0F, f(kInfinity)) == f(kInfinity));
}

TEST_CASE("saturation", "[host]") {
  CHECK(u(fourge_host::saturate(f(0x7FC00000U))) == 0U);
  CHECK(u(fourge_host::saturate(-0.0F)) == 0U);
  CHECK(u(fourge_host::saturate(f(kMaxSubnormal))) == 0U);
  CHECK(fourge_host::saturate(0.25F) == 0.25F);
  CHECK(fourge_host::saturate(3.0F) == 1.0F);
  CHECK(fourge_host::saturate(f(kInfinity)) == 1.0F);
  CHECK(u(fourge_host::saturate(f(kSign | kInfinity))) == 0U);
}

TEST_CASE("every half converts exactly", "[host]") {
  for (unsigned half = 0; half <= 0xFFFFU; ++half) {
    const int exponent = static_cast<int>(half >> 10 & 31U);
    const auto mantissa = static_cast<double>(half & 0x3FFU);
    double expected = exponent == 0 ? std::ldexp(mantissa, -24)
                                    : std::ldexp(1.0 + mantissa / 1024.0, exponent - 15);
    if (exponent == 31) {
      expected = HUGE_VAL;
    }
    const unsigned found = u(fourge_host::half_to_float(static_cast<unsigned short>(half)));
    if (exponent == 31 && mantissa != 0.0) {
      REQUIRE(found == kNan);
    } else {
      REQUIRE(found == ((half & 0x8000U) << 16 | u(static_cast<float>(expected))));
    }
  }
}

}  // namespace fourge::tests
