// The input patterns hold what their names promise: a test on them means something.
#include "tests/support/patterns.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "reference/nvfp4.hpp"
#include "tests/support/catch.hpp"

namespace reference = fourge::reference;
using fourge::tests::make_input;
using fourge::tests::Pattern;
using fourge::tests::te_global_scale;
using reference::ElementType;

namespace {

using Input = std::vector<std::uint16_t>;

constexpr ElementType kTypes[] = {ElementType::bf16, ElementType::f16};

template <class Predicate>
std::size_t count(const Input& x, ElementType type, Predicate predicate) {
  return static_cast<std::size_t>(std::count_if(x.begin(), x.end(), [&](std::uint16_t bits) {
    return predicate(reference::to_float(type, bits));
  }));
}

template <class Predicate>
bool has_block(const Input& x, ElementType type, Predicate predicate) {
  for (std::size_t begin = 0; begin < x.size(); begin += 16) {
    const Input block(x.begin() + static_cast<std::ptrdiff_t>(begin),
                      x.begin() + static_cast<std::ptrdiff_t>(begin + 16));
    if (count(block, type, predicate) == 16) {
      return true;
    }
  }
  return false;
}

}  // namespace

TEST_CASE("patterns are reproducible and depend on the seed", "[patterns]") {
  for (const ElementType type : kTypes) {
    for (const Pattern pattern : fourge::tests::all_patterns()) {
      INFO(to_string(pattern) << " " << to_string(type));
      const Input x = make_input(pattern, type, 17, 208, 42);
      CHECK(x.size() == 17 * 208);
      CHECK(x == make_input(pattern, type, 17, 208, 42));
      const bool drawn = pattern == Pattern::random || pattern == Pattern::specials ||
                         pattern == Pattern::subnormals;
      CHECK((x != make_input(pattern, type, 17, 208, 43)) == drawn);
      const float global_scale = te_global_scale(x, type);
      CHECK(global_scale > 0.0F);
      CHECK(global_scale <= std::numeric_limits<float>::max());
    }
  }
  CHECK(make_input(Pattern::random, ElementType::f16, 0, 16, 1).empty());
  CHECK_THROWS_AS(make_input(Pattern::random, ElementType::f16, 1, 24, 1), std::invalid_argument);
}

TEST_CASE("random is standard normal with a zero first row", "[patterns]") {
  for (const ElementType type : kTypes) {
    const Input x = make_input(Pattern::random, type, 65, 1024, 42);
    CHECK(std::count(x.begin(), x.begin() + 1024, 0) == 1024);
    double sum = 0;
    double squares = 0;
    for (std::size_t i = 1024; i < x.size(); ++i) {
      const double value = static_cast<double>(reference::to_float(type, x[i]));
      sum += value;
      squares += value * value;
    }
    CHECK(std::fabs(sum / 65536) < 0.02);
    CHECK(std::fabs(squares / 65536 - 1) < 0.03);
    CHECK(count(x, type, [](float v) { return std::fabs(v) > 3.5F; }) > 0);
    const Input one_row = make_input(Pattern::random, type, 1, 64, 42);
    CHECK(count(one_row, type, [](float v) { return v != 0.0F; }) > 60);
  }
}

TEST_CASE("boundary straddles evenly spaced values, the same in all rows", "[patterns]") {
  const Input x = make_input(Pattern::boundary, ElementType::f16, 3, 64, 0);
  CHECK(std::equal(x.begin(), x.begin() + 64, x.begin() + 64));
  const auto near = [&](std::size_t col, double expected) {
    const double value = static_cast<double>(reference::f16_to_float(x[col]));
    return std::fabs(value - expected) < 0.004;  // half a unit of f16 at 12
  };
  CHECK(near(0, -12.001));
  CHECK(near(1, -11.999));
  CHECK(near(32, -12 + 24 * 16.0 / 31 - 1e-3));
  CHECK(near(33, -12 + 24 * 16.0 / 31 + 1e-3));
  CHECK(near(63, 12.001));
}

TEST_CASE("zeros and maxes", "[patterns]") {
  CHECK(make_input(Pattern::zeros, ElementType::bf16, 2, 16, 0) == Input(32, 0x0000));
  CHECK(make_input(Pattern::maxes, ElementType::bf16, 2, 16, 0) == Input(32, 0x7F7F));
  CHECK(make_input(Pattern::maxes, ElementType::f16, 2, 16, 0) == Input(32, 0x7BFF));
}

TEST_CASE("specials hold every special value, even in one block", "[patterns]") {
  const auto is_nan = [](float v) { return std::isnan(v); };
  const auto is_infinity = [](float v) { return v == std::numeric_limits<float>::infinity(); };
  const auto is_minus_infinity = [](float v) {
    return v == -std::numeric_limits<float>::infinity();
  };
  const auto is_minus_zero = [](float v) { return v == 0.0F && std::signbit(v); };
  const auto is_normal = [](float v) { return std::isnormal(v); };
  for (const ElementType type : kTypes) {
    INFO(to_string(type));
    for (const Input& x : {make_input(Pattern::specials, type, 1, 16, 5),
                           make_input(Pattern::specials, type, 120, 64, 5)}) {
      CHECK(count(x, type, is_nan) > 0);
      CHECK(count(x, type, is_infinity) > 0);
      CHECK(count(x, type, is_minus_infinity) > 0);
      CHECK(count(x, type, is_minus_zero) > 0);
      CHECK(count(x, type, is_normal) > 0);
    }
    const Input x = make_input(Pattern::specials, type, 120, 64, 5);
    CHECK(has_block(x, type, is_nan));
    CHECK(has_block(x, type, is_infinity));
    CHECK(has_block(x, type, is_minus_zero));
    const auto negative_nan = [&](std::uint16_t bits) {
      return bits >= 0x8000 && std::isnan(reference::to_float(type, bits));
    };
    CHECK(std::any_of(x.begin(), x.end(), negative_nan));
    const std::uint16_t signalling = type == ElementType::bf16 ? 0x7F81 : 0x7C01;
    CHECK(std::find(x.begin(), x.end(), signalling) != x.end());
  }
}

TEST_CASE("subnormals reach zero scales, flushed elements and the whole range", "[patterns]") {
  for (const ElementType type : kTypes) {
    INFO(to_string(type));
    const Input x = make_input(Pattern::subnormals, type, 120, 64, 5);
    const unsigned smallest_normal = type == ElementType::bf16 ? 0x0080U : 0x0400U;
    const auto subnormals = std::count_if(x.begin(), x.end(), [&](std::uint16_t bits) {
      return (bits & 0x7FFFU) != 0 && (bits & 0x7FFFU) < smallest_normal;
    });
    CHECK(subnormals > 100);
    CHECK(count(x, type, [](float v) { return !std::isfinite(v); }) == 0);

    // Under the tensor's own scale, some nonzero blocks have a scale that rounds to zero, some not.
    const float global_scale = te_global_scale(x, type);
    std::size_t underflown = 0;
    std::size_t ordinary = 0;
    for (std::size_t begin = 0; begin < x.size(); begin += 16) {
      const auto block = std::span(x).subspan(begin).first<16>();
      const auto result =
          quantize_nvfp4_block(block, type, global_scale, reference::MathMode::exact);
      if (result.scale != 0) {
        ++ordinary;
      } else if (result.multiplier != 0.0F) {
        ++underflown;
      }
    }
    CHECK(underflown > 20);
    CHECK(ordinary > 20);
  }
}

TEST_CASE("the tensor's scale maps the largest magnitude to 448 * 6", "[patterns]") {
  const auto scale_of = [](float value) {
    return te_global_scale(Input{reference::float_to_bf16(value), 0x7FC0, 0x3F80},
                           ElementType::bf16);
  };
  CHECK(scale_of(6.0F) == 448.0F);
  CHECK(scale_of(-1344.0F) == 2.0F);
  CHECK(scale_of(std::numeric_limits<float>::infinity()) == 1.0F);
  CHECK(te_global_scale(Input(16, 0), ElementType::bf16) == std::numeric_limits<float>::max());
}
