#include "reference/ftz.hpp"

#include <bit>
#include <limits>

#include "tests/support/catch.hpp"

namespace ftz = fourge::reference::ftz;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kSmallestNormal = 0x1p-126F;
constexpr float kLargestSubnormal = 0x1.fffffcp-127F;

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

constexpr std::uint32_t kPlusZero = 0x0000'0000U;
constexpr std::uint32_t kMinusZero = 0x8000'0000U;

}  // namespace

TEST_CASE("flush turns subnormals into zero of their sign and nothing else", "[ftz]") {
  CHECK(bits(ftz::flush(kLargestSubnormal)) == kPlusZero);
  CHECK(bits(ftz::flush(-kLargestSubnormal)) == kMinusZero);
  CHECK(bits(ftz::flush(0x1p-149F)) == kPlusZero);
  CHECK(bits(ftz::flush(-0.0F)) == kMinusZero);
  CHECK(ftz::flush(kSmallestNormal) == kSmallestNormal);
  CHECK(ftz::flush(-kSmallestNormal) == -kSmallestNormal);
  CHECK(ftz::flush(kInfinity) == kInfinity);
  CHECK(std::isnan(ftz::flush(kNan)));
}

TEST_CASE("subnormal operands are read as zero", "[ftz]") {
  CHECK(bits(ftz::mul(kLargestSubnormal, 0x1p100F)) == kPlusZero);
  CHECK(bits(ftz::mul(-0x1p-130F, 0x1p100F)) == kMinusZero);
  CHECK(std::isnan(ftz::mul(0x1p-130F, kInfinity)));
  CHECK(ftz::add(kSmallestNormal, kLargestSubnormal) == kSmallestNormal);
  CHECK(ftz::sub(kSmallestNormal, kLargestSubnormal) == kSmallestNormal);
  CHECK(bits(ftz::div(0x1p-130F, 0x1p-100F)) == kPlusZero);
  CHECK(ftz::rcp(0x1p-130F) == kInfinity);
  CHECK(ftz::rcp(-0x1p-130F) == -kInfinity);
  CHECK(ftz::is_zero(-0x1p-130F));
  CHECK_FALSE(ftz::is_zero(kSmallestNormal));
  CHECK_FALSE(ftz::is_zero(kNan));
}

TEST_CASE("subnormal results become zero", "[ftz]") {
  CHECK(bits(ftz::mul(1e-20F, 1e-20F)) == kPlusZero);
  CHECK(bits(ftz::mul(1e-20F, -1e-20F)) == kMinusZero);
  CHECK(bits(ftz::div(1.0F, ftz::kMax)) == kPlusZero);
  CHECK(bits(ftz::rcp(-ftz::kMax)) == kMinusZero);
  CHECK(bits(ftz::sub(0x1.8p-126F, kSmallestNormal)) == kPlusZero);
  CHECK(bits(ftz::add(-0x1.8p-126F, kSmallestNormal)) == kMinusZero);
  CHECK(ftz::mul(0x1p-63F, 0x1p-63F) == kSmallestNormal);
}

TEST_CASE("results are rounded once, to nearest", "[ftz]") {
  CHECK(bits(ftz::rcp(6.0F)) == 0x3E2A'AAABU);
  CHECK(bits(ftz::rcp(448.0F)) == 0x3B12'4925U);
  CHECK(bits(ftz::rcp(2688.0F)) == 0x39C3'0C31U);
  CHECK(bits(ftz::rcp(1536.0F)) == 0x3A2A'AAABU);
  CHECK(ftz::rcp(ftz::rcp(2688.0F)) == 2688.0F);
  CHECK(ftz::rcp(kInfinity) == 0.0F);
  CHECK(std::isnan(ftz::rcp(kNan)));
  // A fused multiply-add would keep 2^-46.
  const float a = 1.0F + 0x1p-23F;
  CHECK(ftz::sub(ftz::mul(a, a), 1.0F + 0x1p-22F) == 0.0F);
}

TEST_CASE("min takes the number of a number and a NaN", "[ftz]") {
  CHECK(ftz::min(kNan, 2.0F) == 2.0F);
  CHECK(ftz::min(2.0F, kNan) == 2.0F);
  CHECK(ftz::min(kInfinity, ftz::kMax) == ftz::kMax);
  CHECK(ftz::min(-1.0F, 1.0F) == -1.0F);
}
