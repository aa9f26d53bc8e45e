// A comparison that cannot fail proves nothing: planted differences must be found and named.
#include "reference/compare.hpp"

#include <cmath>
#include <stdexcept>

#include "reference/ftz.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace reference = fourge::reference;
using reference::CompareReport;
using reference::ElementType;
using reference::MathMode;
using reference::Nvfp4Output;
using reference::Nvfp4Problem;
using reference::ScaleLayout;

namespace {

struct Sample {
  std::vector<std::uint16_t> x;
  Nvfp4Problem problem;
  Nvfp4Output expected;
};

Sample make_sample(MathMode math, ScaleLayout layout) {
  Sample sample;
  sample.x = fourge::tests::make_input(fourge::tests::Pattern::random, ElementType::bf16, 9, 80, 7);
  sample.problem = {sample.x, ElementType::bf16, 9, 80, 448.0F, math, layout};
  sample.expected = quantize_nvfp4(sample.problem);
  return sample;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("equal outputs compare equal", "[compare]") {
  for (const MathMode math : {MathMode::exact, MathMode::fast}) {
    const Sample sample = make_sample(math, ScaleLayout::tiled_128x4);
    const CompareReport report = compare_nvfp4(sample.problem, sample.expected, sample.expected);
    CHECK(report.ok());
    CHECK(report.blocks == 45);
    CHECK(report.excused_codes == 0);
    CHECK(report.first.empty());
  }
}

TEST_CASE("any flipped bit of the codes is found in exact mode", "[compare]") {
  const Sample sample = make_sample(MathMode::exact, ScaleLayout::linear);
  for (std::size_t byte = 0; byte < sample.expected.codes.size(); ++byte) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      Nvfp4Output found = sample.expected;
      found.codes[byte] = static_cast<std::uint8_t>(found.codes[byte] ^ (1U << bit));
      const CompareReport report = compare_nvfp4(sample.problem, sample.expected, found);
      REQUIRE_FALSE(report.ok());
      REQUIRE(report.code_differences == 1);
      REQUIRE(report.scale_differences == 0);
    }
  }
}

TEST_CASE("any changed scale byte is found, padding included", "[compare]") {
  for (const MathMode math : {MathMode::exact, MathMode::fast}) {
    const Sample sample = make_sample(math, ScaleLayout::tiled_8x4);
    REQUIRE(sample.expected.scales.size() == 16 * 8);
    for (std::size_t byte = 0; byte < sample.expected.scales.size(); ++byte) {
      Nvfp4Output found = sample.expected;
      found.scales[byte] = static_cast<std::uint8_t>(found.scales[byte] + 1);
      const CompareReport report = compare_nvfp4(sample.problem, sample.expected, found);
      REQUIRE_FALSE(report.ok());
      REQUIRE(report.scale_differences == 1);
      REQUIRE(report.code_differences == 0);
    }
  }
}

TEST_CASE("the first difference is named", "[compare]") {
  const Sample sample = make_sample(MathMode::exact, ScaleLayout::tiled_8x4);
  SECTION("a code") {
    Nvfp4Output found = sample.expected;
    const std::size_t byte = (4 * 80 + 2 * 16 + 7) / 2;  // row 4, block 2, element 7: a high nibble
    const unsigned before = found.codes[byte] >> 4;
    found.codes[byte] = static_cast<std::uint8_t>(found.codes[byte] ^ 0x80U);
    found.codes.back() = static_cast<std::uint8_t>(found.codes.back() ^ 0x11U);
    const CompareReport report = compare_nvfp4(sample.problem, sample.expected, found);
    CHECK(report.code_differences == 3);
    INFO(report.first);
    CHECK(contains(report.first, "row 4, block 2, element 7"));
    const char* digits = "0123456789ABCDEF";
    CHECK(contains(report.first, std::string("expected 0x0") + digits[before]));
    CHECK(contains(report.first, std::string("found 0x0") + digits[before ^ 8U]));
  }
  SECTION("a scale") {
    Nvfp4Output found = sample.expected;
    const std::size_t offset = sample.problem.scale_matrix().offset(3, 1);
    found.scales[offset] = 0x12;
    const CompareReport report = compare_nvfp4(sample.problem, sample.expected, found);
    INFO(report.first);
    CHECK(contains(report.first, "row 3, block 1, scale at byte " + std::to_string(offset)));
    CHECK(contains(report.first, "found 0x12"));
  }
  SECTION("padding") {
    Nvfp4Output found = sample.expected;
    found.scales[sample.problem.scale_matrix().offset(9, 0)] = 1;
    const CompareReport report = compare_nvfp4(sample.problem, sample.expected, found);
    CHECK(contains(report.first, "(padding)"));
    CHECK(contains(report.first, "expected 0x00, found 0x01"));
  }
}

TEST_CASE("buffers of the wrong size are differences", "[compare]") {
  const Sample sample = make_sample(MathMode::fast, ScaleLayout::tiled_8x4);
  Nvfp4Output found = sample.expected;
  found.codes.pop_back();
  CHECK_FALSE(compare_nvfp4(sample.problem, sample.expected, found).ok());
  found = sample.expected;
  found.scales.push_back(0);
  CHECK_FALSE(compare_nvfp4(sample.problem, sample.expected, found).ok());
  CHECK_FALSE(compare_nvfp4(sample.problem, sample.expected, {}).ok());
  CHECK_THROWS_AS(compare_nvfp4(sample.problem, {}, sample.expected), std::invalid_argument);
}

TEST_CASE("fast mode excuses a neighbouring code at a tie only", "[compare]") {
  // With scale 1.0 and global scale 1.0 the multiplier is 1, so elements are what gets encoded.
  std::vector<std::uint16_t> x(16);
  const float values[] = {6.0F, 0.25F, -2.5F, 2.0F, -1.25F, 3.515625F, 5.0F};
  for (std::size_t i = 0; i < std::size(values); ++i) {
    x[i] = reference::float_to_bf16(values[i]);
  }
  Nvfp4Problem problem{x, ElementType::bf16, 1, 16, 1.0F, MathMode::fast, ScaleLayout::linear};
  const Nvfp4Output expected = quantize_nvfp4(problem);
  REQUIRE(expected.scales == std::vector<std::uint8_t>{0x38});
  REQUIRE(expected.codes[0] == 0x07);  // 6 and 0.25
  REQUIRE(expected.codes[1] == 0x4C);  // -2.5 and 2
  REQUIRE(expected.codes[2] == 0x6A);  // -1.25 and 3.515625
  REQUIRE(expected.codes[3] == 0x06);  // 5 and 0

  const auto compare_with = [&](std::size_t byte, std::uint8_t value) {
    Nvfp4Output found = expected;
    found.codes[byte] = value;
    return compare_nvfp4(problem, expected, found);
  };
  const auto excused = [&](std::size_t byte, std::uint8_t value) {
    const CompareReport report = compare_with(byte, value);
    return report.ok() && report.excused_codes == 1;
  };
  CHECK(excused(0, 0x17));  // 0.25: 0 or 1
  CHECK(excused(1, 0x4D));  // -2.5: C or D
  CHECK(excused(2, 0x6B));  // -1.25: A or B
  CHECK(excused(3, 0x07));  // 5: 6 or 7

  CHECK_FALSE(compare_with(0, 0x27).ok());  // 0.25: two steps
  CHECK_FALSE(compare_with(0, 0x97).ok());  // 0.25: wrong sign
  CHECK_FALSE(compare_with(0, 0x06).ok());  // 6: a step, but no tie is near
  CHECK_FALSE(compare_with(1, 0x4B).ok());  // -2.5: a step away from the tie
  CHECK_FALSE(compare_with(1, 0x5C).ok());  // 2
  CHECK_FALSE(compare_with(2, 0x5A).ok());  // 3.515625: near 3.5, but not that near
  CHECK(compare_with(2, 0x5A).first.find("element 5") != std::string::npos);

  problem.math = MathMode::exact;
  CHECK_FALSE(compare_with(0, 0x17).ok());
}

TEST_CASE("the excused distance is four units in the last place", "[compare]") {
  // Codes 6 and 7 meet at 5, where a unit is 2^-21. The scale byte and the global scale make the
  // multiplier; the search walks the global scale until the product is just so far from the tie.
  std::vector<std::uint16_t> x(16);
  x[0] = reference::float_to_bf16(6.0F);
  x[1] = reference::float_to_bf16(5.0F);
  std::vector<double> excused;
  std::vector<double> refused;
  for (int step = -12; step <= 12; ++step) {
    const float global_scale = 1.0F + static_cast<float>(step) * 0x1p-23F;
    const Nvfp4Problem problem{
        x, ElementType::bf16, 1, 16, global_scale, MathMode::fast, ScaleLayout::linear};
    const Nvfp4Output expected = quantize_nvfp4(problem);
    REQUIRE(expected.scales == std::vector<std::uint8_t>{0x38});
    const auto block = quantize_nvfp4_block(std::span(x).first<16>(), ElementType::bf16,
                                            global_scale, MathMode::fast);
    const double distance = std::fabs(5.0 * static_cast<double>(block.multiplier) - 5.0) / 0x1p-21;
    Nvfp4Output found = expected;
    found.codes[0] = static_cast<std::uint8_t>(found.codes[0] ^ 0x10U);  // 6 <-> 7
    const CompareReport report = compare_nvfp4(problem, expected, found);
    REQUIRE(report.excused_codes + report.code_differences == 1);
    (report.ok() ? excused : refused).push_back(distance);
  }
  REQUIRE_FALSE(excused.empty());
  REQUIRE_FALSE(refused.empty());
  for (const double distance : excused) {
    CHECK(distance <= 4.0);
  }
  for (const double distance : refused) {
    CHECK(distance > 4.0);
  }
}
