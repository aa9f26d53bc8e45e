// The reference's conversions against CUDA's own host conversions (cuda_fp8.h, cuda_fp4.h).
//
// No corner of NaN, infinity, zero or tie was found where CUDA's host functions and the reference
// differ. In particular, a NaN of either sign encodes to 0x7F (E4M3) and 7 (E2M1) in both. Corners
// that the numerics contract fixes are written out below all the same, so that they hold with any
// CUDA version.
#include <cuda_fp4.h>
#include <cuda_fp8.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "reference/formats.hpp"
#include "tests/support/catch.hpp"

namespace reference = fourge::reference;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }
std::uint32_t to_bits(float value) { return std::bit_cast<std::uint32_t>(value); }

std::uint8_t cuda_e4m3(float value) {
  return __nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3);
}
std::uint8_t cuda_e2m1(float value) {
  return __nv_cvt_float_to_fp4(value, __NV_E2M1, cudaRoundNearest);
}

__half_raw half_raw(std::uint16_t bits) {
  __half_raw raw;
  raw.x = bits;
  return raw;
}
__nv_bfloat16_raw bfloat16_raw(std::uint16_t bits) {
  __nv_bfloat16_raw raw;
  raw.x = bits;
  return raw;
}

// Collects disagreements without an assertion for each of millions of values.
class Disagreements {
 public:
  void check(float value, const char* what, unsigned expected, unsigned found) {
    ++checked_;
    if (expected != found && count_++ == 0) {
      char text[160];
      std::snprintf(text, sizeof text, "%s of %a (0x%08X): CUDA 0x%02X, reference 0x%02X", what,
                    static_cast<double>(value), to_bits(value), expected, found);
      first_ = text;
    }
  }
  void check_float(float value) {
    check(value, "E4M3", cuda_e4m3(value), reference::encode_e4m3(value));
    check(value, "E2M1", cuda_e2m1(value), reference::encode_e2m1(value));
  }
  void require_none(std::uint64_t at_least) const {
    INFO(first_);
    REQUIRE(count_ == 0);
    REQUIRE(checked_ >= at_least);
  }

 private:
  std::uint64_t checked_ = 0;
  std::uint64_t count_ = 0;
  std::string first_;
};

}  // namespace

TEST_CASE("every half converts like CUDA's host functions", "[conversions]") {
  Disagreements disagreements;
  for (std::uint32_t i = 0; i < 0x1'0000U; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float value = reference::f16_to_float(bits);
    disagreements.check(value, "half to E4M3",
                        __nv_cvt_halfraw_to_fp8(half_raw(bits), __NV_SATFINITE, __NV_E4M3),
                        reference::encode_e4m3(value));
    disagreements.check(value, "half to E2M1",
                        __nv_cvt_halfraw_to_fp4(half_raw(bits), __NV_E2M1, cudaRoundNearest),
                        reference::encode_e2m1(value));
  }
  disagreements.require_none(2 * 0x1'0000U);
}

TEST_CASE("every bfloat16 converts like CUDA's host functions", "[conversions]") {
  Disagreements disagreements;
  for (std::uint32_t i = 0; i < 0x1'0000U; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float value = reference::bf16_to_float(bits);
    disagreements.check(value, "bfloat16 to E4M3",
                        __nv_cvt_bfloat16raw_to_fp8(bfloat16_raw(bits), __NV_SATFINITE, __NV_E4M3),
                        reference::encode_e4m3(value));
    disagreements.check(
        value, "bfloat16 to E2M1",
        __nv_cvt_bfloat16raw_to_fp4(bfloat16_raw(bits), __NV_E2M1, cudaRoundNearest),
        reference::encode_e2m1(value));
  }
  disagreements.require_none(2 * 0x1'0000U);
}

TEST_CASE("16-bit types widen exactly and narrow to nearest, as CUDA's do", "[conversions]") {
  std::uint64_t wrong = 0;
  for (std::uint32_t i = 0; i < 0x1'0000U; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const __half as_half{half_raw(bits)};
    const __nv_bfloat16 as_bfloat{bfloat16_raw(bits)};
    const float from_half = reference::f16_to_float(bits);
    const float from_bfloat = reference::bf16_to_float(bits);
    if (std::isnan(from_half)) {
      wrong += std::isnan(__half2float(as_half)) ? 0U : 1U;
    } else {
      wrong += to_bits(from_half) == to_bits(__half2float(as_half)) ? 0U : 1U;
      wrong += reference::float_to_f16(from_half) == bits ? 0U : 1U;
    }
    if (std::isnan(from_bfloat)) {
      wrong += std::isnan(__bfloat162float(as_bfloat)) ? 0U : 1U;
    } else {
      wrong += to_bits(from_bfloat) == to_bits(__bfloat162float(as_bfloat)) ? 0U : 1U;
      wrong += reference::float_to_bf16(from_bfloat) == bits ? 0U : 1U;
    }
  }
  CHECK(wrong == 0);

  std::mt19937 random(16);
  wrong = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    // Half of the values in the range of f16, where its roundings and its overflow are.
    std::uint32_t bits = static_cast<std::uint32_t>(random());
    if (i % 2 == 0) {
      bits = (bits & 0x87FF'FFFFU) | (bits % 3 == 0 ? 0x4000'0000U : 0x3000'0000U);
    }
    const float value = from_bits(bits);
    if (std::isnan(value)) {
      continue;
    }
    const auto as_half = static_cast<__half_raw>(__float2half_rn(value)).x;
    const auto as_bfloat = static_cast<__nv_bfloat16_raw>(__float2bfloat16_rn(value)).x;
    wrong += reference::float_to_f16(value) == as_half ? 0U : 1U;
    wrong += reference::float_to_bf16(value) == as_bfloat ? 0U : 1U;
  }
  CHECK(wrong == 0);
  CHECK(reference::float_to_f16(65519.996F) == 0x7BFF);
  CHECK(reference::float_to_f16(65520.0F) == 0x7C00);
  CHECK(reference::float_to_f16(0x1p-25F) == 0x0000);
  CHECK(reference::float_to_f16(std::nextafter(0x1p-25F, 1.0F)) == 0x0001);
  CHECK(reference::float_to_bf16(std::numeric_limits<float>::max()) == 0x7F80);
}

TEST_CASE("every byte decodes like CUDA's host functions", "[conversions]") {
  for (unsigned i = 0; i < 256; ++i) {
    const auto byte = static_cast<std::uint8_t>(i);
    INFO("byte " << i);
    const __half_raw raw = __nv_cvt_fp8_to_halfraw(byte, __NV_E4M3);
    const float expected = reference::f16_to_float(raw.x);
    const float found = reference::decode_e4m3(byte);
    if ((i & 0x7FU) == 0x7FU) {
      CHECK(std::isnan(expected));
      CHECK(std::isnan(found));
    } else {
      CHECK(to_bits(found) == to_bits(expected));
      CHECK(reference::encode_e4m3(found) == byte);
    }
  }
  for (unsigned i = 0; i < 16; ++i) {
    const auto code = static_cast<std::uint8_t>(i);
    INFO("code " << i);
    const float expected = reference::f16_to_float(__nv_cvt_fp4_to_halfraw(code, __NV_E2M1).x);
    CHECK(to_bits(reference::decode_e2m1(code)) == to_bits(expected));
    CHECK(reference::encode_e2m1(expected) == code);
  }
}

TEST_CASE("every tie and its neighbours convert like CUDA's host functions", "[conversions]") {
  Disagreements disagreements;
  std::uint64_t ties = 0;
  // Adjacent codes stand for adjacent values. The halfway points between them, and both ends.
  const auto check_around = [&](float value) {
    for (const float near :
         {value, std::nextafter(value, -kInfinity), std::nextafter(value, kInfinity)}) {
      disagreements.check_float(near);
      disagreements.check_float(-near);
    }
  };
  for (std::uint8_t byte = 0; byte < 0x7E; ++byte) {
    const float low = reference::decode_e4m3(byte);
    const float high = reference::decode_e4m3(static_cast<std::uint8_t>(byte + 1));
    const float tie = (low + high) / 2;  // exact
    check_around(low);
    check_around(tie);
    check_around(high);
    ++ties;
    // A tie goes to the even code; beside it, the nearer value wins.
    const unsigned even = byte % 2 == 0 ? byte : byte + 1U;
    CHECK(reference::encode_e4m3(tie) == even);
    CHECK(reference::encode_e4m3(std::nextafter(tie, -kInfinity)) == byte);
    CHECK(reference::encode_e4m3(std::nextafter(tie, kInfinity)) == byte + 1U);
  }
  for (std::uint8_t code = 0; code < 7; ++code) {
    const float low = reference::decode_e2m1(code);
    const float high = reference::decode_e2m1(static_cast<std::uint8_t>(code + 1));
    const float tie = (low + high) / 2;
    check_around(low);
    check_around(tie);
    check_around(high);
    ++ties;
    const unsigned even = code % 2 == 0 ? code : code + 1U;
    CHECK(reference::encode_e2m1(tie) == even);
    CHECK(reference::encode_e2m1(-tie) == (even | 8U));
    CHECK(reference::encode_e2m1(std::nextafter(tie, -kInfinity)) == code);
    CHECK(reference::encode_e2m1(std::nextafter(tie, kInfinity)) == code + 1U);
  }
  for (const float edge : {448.0F, 464.0F, 480.0F, 6.0F, 7.0F, 8.0F, 0x1p-9F, 0x1p-10F, 0x1p-126F,
                           0x1p-149F, 0.0F, std::numeric_limits<float>::max(), kInfinity}) {
    check_around(edge);
  }
  CHECK(ties == 126 + 7);
  disagreements.require_none(133 * 3 * 6 * 2);
}

TEST_CASE("ten million random floats convert like CUDA's host functions", "[conversions]") {
  Disagreements disagreements;
  std::mt19937 random(42);
  for (int i = 0; i < 10'000'000; ++i) {
    std::uint32_t bits = static_cast<std::uint32_t>(random());
    if (i % 4 == 0) {
      // Few of all bit patterns lie where the formats have more than one value: steer a quarter of
      // them to exponents -12..10.
      bits = (bits & 0x807F'FFFFU) | ((115U + (bits >> 23) % 23U) << 23);
    }
    disagreements.check_float(from_bits(bits));
  }
  disagreements.require_none(2 * 10'000'000U);
}

TEST_CASE("corners of the conversions are those of the numerics contract", "[conversions]") {
  using reference::encode_e2m1;
  using reference::encode_e4m3;
  const std::vector<std::uint32_t> nans = {0x7FC0'0000U, 0xFFC0'0000U, 0x7F80'0001U,
                                           0xFF80'0001U, 0x7FFF'FFFFU, 0xFFFF'FFFFU};
  for (const std::uint32_t nan : nans) {
    INFO("NaN " << nan);
    CHECK(encode_e4m3(from_bits(nan)) == 0x7F);
    CHECK(encode_e2m1(from_bits(nan)) == 0x7);
    CHECK(cuda_e4m3(from_bits(nan)) == 0x7F);
    CHECK(cuda_e2m1(from_bits(nan)) == 0x7);
  }
  CHECK(encode_e4m3(kInfinity) == 0x7E);
  CHECK(encode_e4m3(-kInfinity) == 0xFE);
  CHECK(encode_e4m3(1e30F) == 0x7E);
  CHECK(encode_e4m3(432.0F) == 0x7E);
  CHECK(encode_e4m3(0.0F) == 0x00);
  CHECK(encode_e4m3(-0.0F) == 0x80);
  CHECK(encode_e4m3(0x1p-10F) == 0x00);
  CHECK(encode_e4m3(-0x1p-10F) == 0x80);
  CHECK(encode_e4m3(0x1.8p-10F) == 0x01);
  CHECK(encode_e2m1(kInfinity) == 0x7);
  CHECK(encode_e2m1(-kInfinity) == 0xF);
  CHECK(encode_e2m1(-0.0F) == 0x8);
  CHECK(encode_e2m1(-0.1F) == 0x8);
  CHECK(encode_e2m1(0.1F) == 0x0);
  CHECK(encode_e2m1(5.0F) == 0x6);
  CHECK(encode_e2m1(5.0000005F) == 0x7);
}
