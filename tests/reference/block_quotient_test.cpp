// Why kernel_templates/device/block_quotient.cuh may divide as it does: in arithmetic of the processor,
// the quotient by a reciprocal in two floats gives the code of the correctly rounded quotient, for
// each significand of the scale except one, which the kernel treats apart.
#include "tests/support/catch.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

// The significand bits that is_plain_maximum() leaves out, for scale and largest magnitude.
constexpr std::uint32_t kLeftOut = 0x3FFFFF;
constexpr std::uint32_t kLeftOutMaximum = 0x27FFFF;

std::uint32_t bits(float x) { return std::bit_cast<std::uint32_t>(x); }
float from_bits(std::uint32_t x) { return std::bit_cast<float>(x); }

// Between which E4M3 numbers a rounding decides, all scaled to [1, 2): odd 32nds between normal numbers,
// odd numbers below 16 between subnormal ones.
std::vector<float> borders() {
  std::vector<float> all;
  for (int m = 17; m <= 31; m += 2) {
    all.push_back(static_cast<float>(m) / 16);
  }
  for (int m = 1; m <= 15; m += 2) {
    float value = static_cast<float>(m);
    while (value >= 2) {
      value /= 2;
    }
    all.push_back(value);
  }
  return all;
}

struct Reciprocal {
  float high;
  float low;
};

Reciprocal reciprocal(float scale) {
  const float nearest = 1.0F / scale;
  const float high = std::fma(-scale, nearest, 1.0F) < 0 ? from_bits(bits(nearest) - 1) : nearest;
  const float rest = std::fma(-scale, high, 1.0F);
  const double product = static_cast<double>(rest) * nearest;  // exact
  const auto rounded = static_cast<float>(product);
  const float low = rounded > product ? from_bits(bits(rounded) - 1) : rounded;  // towards zero
  return {high, low};
}

int side(float value, float border) { return value < border ? -1 : value > border ? 1 : 0; }

// How many numbers near the borders end up on another side of one.
int differences(std::uint32_t significand, const std::vector<float>& all) {
  const float scale = from_bits(0x3F800000U + significand);
  const Reciprocal r = reciprocal(scale);
  int count = 0;
  for (const float border : all) {
    const std::uint32_t middle = bits(scale * border);
    for (std::uint32_t o = middle - 2; o <= middle + 2; ++o) {
      const float number = from_bits(o);
      const float quotient = std::fma(number, r.high, number * r.low);
      count += side(quotient, border) != side(number / scale, border) ? 1 : 0;
    }
  }
  return count;
}

}  // namespace

TEST_CASE("quotients of a block by a reciprocal in two floats", "[fp8]") {
  const auto all = borders();
  int wrong = 0;
  std::uint32_t seen = 0;
  for (std::uint32_t s = 0; s < 0x800000; ++s) {
    // Every 29th, and those next to short ones, where the few hard cases are.
    const bool special = (s & 0x3FFF) < 8 || (s & 0x3FFF) > 0x3FF0;
    if ((s % 29 == 0 || special) && s != kLeftOut) {
      wrong += differences(s, all) != 0 ? 1 : 0;
      ++seen;
    }
  }
  CHECK(wrong == 0);
  CHECK(seen > 250'000);
  CHECK(differences(kLeftOut, all) > 0);
}

TEST_CASE("the one scale left out comes from one largest magnitude", "[fp8]") {
  for (std::uint32_t around = kLeftOutMaximum - 50; around <= kLeftOutMaximum + 50; ++around) {
    const float scale = from_bits(0x43800000U + around) / 448.0F;
    CHECK(((bits(scale) & 0x7FFFFFU) == kLeftOut) == (around == kLeftOutMaximum));
  }
}

TEST_CASE("the second float of a reciprocal is never negative", "[fp8]") {
  for (std::uint32_t s = 0; s < 0x800000; s += 3) {
    REQUIRE_FALSE(std::signbit(reciprocal(from_bits(0x3F800000U + s)).low));
  }
}
