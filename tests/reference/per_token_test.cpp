#include "reference/nvfp4_per_token.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "reference/ftz.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"
#include "tests/support/vectors.hpp"

namespace reference = fourge::reference;
namespace ftz = fourge::reference::ftz;
using reference::ElementType;
using reference::ErrorMath;
using reference::ErrorMetric;
using reference::FourOverSix;
using reference::MathMode;
using reference::TokenScale;

namespace {

constexpr float kInverse448 = std::bit_cast<float>(0x39C3'0C31U);  // 1 / 2688

// "nvfp4" or "4over6-mse-256-fp16err", as the vectors name them.
std::optional<FourOverSix> parse_config(const std::string& text) {
  if (text == "nvfp4") {
    return std::nullopt;
  }
  const auto has = [&](const char* part) { return text.find(part) != std::string::npos; };
  return FourOverSix{has("-mse-") ? ErrorMetric::mse : ErrorMetric::mae, has("-256-") ? 256 : 448,
                     has("-fp16err") ? ErrorMath::fast : ErrorMath::strict};
}

}  // namespace

TEST_CASE("token scales equal the golden value and its extremes", "[per-token]") {
  const TokenScale golden = token_scale(19.5F, kInverse448, MathMode::exact, true);
  CHECK(std::bit_cast<std::uint32_t>(golden.encode) == 0x4309'D89EU);
  CHECK(std::bit_cast<std::uint32_t>(golden.decode) == 0x3BED'B6DBU);

  for (const MathMode math : {MathMode::exact, MathMode::fast}) {
    for (const float zero : {0.0F, 0x1p-127F}) {
      CHECK(token_scale(zero, kInverse448, math, false).decode == 0.0F);
      CHECK(token_scale(zero, kInverse448, math, false).encode == ftz::kMax);
      CHECK(token_scale(zero, kInverse448, math, true).decode == 0.0F);
    }
  }
  const TokenScale tiny = token_scale(0x1p-120F, kInverse448, MathMode::exact, false);
  CHECK(tiny.encode == ftz::kMax);
  CHECK(tiny.decode == 0.0F);
  const float infinity = std::numeric_limits<float>::infinity();
  const TokenScale infinite = token_scale(infinity, kInverse448, MathMode::exact, false);
  CHECK(infinite.encode == 1.0F);
  CHECK(infinite.decode == 1.0F);
  const TokenScale fast = token_scale(2688.0F, kInverse448, MathMode::fast, false);
  CHECK(fast.decode == 1.0F);
  CHECK(fast.encode == 1.0F);
}

TEST_CASE("a zero row has zero scales and keeps the sign of its zeros", "[per-token]") {
  std::vector<std::uint16_t> x(32, 0x0000);
  x[3] = 0x8000;
  x[16] = 0x3F80;
  const reference::Nvfp4Problem problem{
      x, ElementType::bf16, 2, 16, 0.0F, MathMode::exact, reference::ScaleLayout::linear};
  for (const MathMode math : {MathMode::exact, MathMode::fast}) {
    reference::Nvfp4Problem with_math = problem;
    with_math.math = math;
    const auto output = quantize_nvfp4_per_token(with_math, kInverse448, std::nullopt);
    CHECK(output.token_scales[0] == 0.0F);
    CHECK(output.token_scales[1] > 0.0F);
    CHECK(output.blocks.scales == std::vector<std::uint8_t>{0x00, 0x7E});
    CHECK(output.blocks.codes[1] == 0x80);
    CHECK(output.blocks.codes[8] == 0x07);
    const auto adaptive = quantize_nvfp4_per_token(with_math, kInverse448, FourOverSix{});
    CHECK(adaptive.token_scales[0] == 0.0F);
    CHECK(adaptive.blocks.scales == std::vector<std::uint8_t>{0x00, 0x7E});
    CHECK(adaptive.blocks.codes[1] == 0x00);
  }
}

TEST_CASE("per-token NVFP4 equals the known answers, 4over6 included", "[per-token][vectors]") {
  int results = 0;
  for (const auto& entry : fourge::tests::load_vectors()) {
    for (const auto& answer : entry.results) {
      if (answer.scaling != "token") {
        continue;
      }
      INFO(entry.name() << " " << answer.config);
      const reference::Nvfp4Problem problem{entry.x,
                                            entry.type,
                                            entry.rows,
                                            entry.cols,
                                            0.0F,
                                            MathMode::exact,
                                            reference::ScaleLayout::linear};
      const auto output = quantize_nvfp4_per_token(problem, answer.global_scale_inverse,
                                                   parse_config(answer.config), 2);
      CHECK(output.blocks.codes == answer.codes);
      CHECK(output.blocks.scales == answer.scales);
      bool equal = output.token_scales.size() == answer.token_scales.size();
      for (std::size_t row = 0; equal && row < answer.token_scales.size(); ++row) {
        equal = std::bit_cast<std::uint32_t>(output.token_scales[row]) ==
                std::bit_cast<std::uint32_t>(answer.token_scales[row]);
      }
      CHECK(equal);
      ++results;
    }
  }
  CHECK(results == 60 * 9);
}

namespace {

// A problem with its answer, and what a device gives whose G is off by some units in the last place.
struct Judged {
  std::vector<std::uint16_t> x;
  reference::Nvfp4Problem problem;
  std::optional<FourOverSix> config;
  reference::PerTokenOutput expected;
  std::vector<bool> written;

  Judged(MathMode math, std::optional<FourOverSix> four_over_six)
      : x(fourge::tests::make_input(fourge::tests::Pattern::random, ElementType::bf16, 40, 208, 5)),
        config(four_over_six),
        written(40, true) {
    // In rows 1 to 5, block maxima of 17, 19, ... 28ths of the row's: their scales are ties of E4M3, up
    // to rounding.
    for (std::size_t row = 1; row <= 5; ++row) {
      for (std::size_t block = 0; block < 6; ++block) {
        const std::size_t peak = row * 208 + block * 16;
        const auto unit = static_cast<float>(2 * row - 1);
        std::fill_n(x.begin() + static_cast<std::ptrdiff_t>(peak), 16, std::uint16_t{0x3F80});
        x[peak] =
            reference::from_float(ElementType::bf16, unit * static_cast<float>(17 + 2 * block));
      }
      x[row * 208 + 96] =
          reference::from_float(ElementType::bf16, 28.0F * static_cast<float>(2 * row - 1));
    }
    problem = {x, ElementType::bf16, 40, 208, 0.0F, math, reference::ScaleLayout::tiled_128x4};
    expected = quantize_nvfp4_per_token(problem, kInverse448, config);
  }

  reference::CompareReport compare(const reference::PerTokenOutput& found) const {
    return compare_per_token(problem, kInverse448, config, written, expected, found);
  }

  reference::PerTokenOutput with_encode_scales_off_by(double factor) const {
    reference::PerTokenOutput output = expected;
    for (std::int64_t row = 0; row < problem.rows; ++row) {
      const auto r = static_cast<std::size_t>(row);
      if (expected.token_scales[r] == 0.0F) {
        continue;
      }
      const float encode =
          static_cast<float>(factor / static_cast<double>(expected.token_scales[r]));
      const float maximum =
          reference::magnitude_maximum(std::span(x).subspan(r * 208, 208), ElementType::bf16);
      for (std::int64_t block = 0; block < 13; ++block) {
        const auto elements = block_of(problem, row, block);
        const auto made =
            config ? quantize_4over6_block(elements, ElementType::bf16, encode, problem.math,
                                           *config, maximum)
                         .chosen
                   : quantize_nvfp4_block(elements, ElementType::bf16, encode, problem.math);
        store_block(problem, row, block, made, output.blocks);
      }
    }
    return output;
  }
};

}  // namespace

TEST_CASE("comparison per token: every byte counts in exact mode", "[per-token]") {
  const Judged exact(MathMode::exact, std::nullopt);
  CHECK(exact.compare(exact.expected).ok());
  CHECK(exact.compare(exact.expected).blocks == 40 * 13);
  auto found = exact.expected;
  found.blocks.codes[104 * 3 + 9] ^= 0x10;
  CHECK(exact.compare(found).code_differences == 1);
  CHECK(exact.compare(found).first.find("row 3, block 1") != std::string::npos);
  found = exact.expected;
  found.blocks.scales[2] ^= 1;
  CHECK(exact.compare(found).scale_differences == 1);
}

TEST_CASE("comparison per token: token scales, padding and unwritten rows count in fast mode too",
          "[per-token]") {
  Judged fast(MathMode::fast, std::nullopt);
  auto found = fast.expected;
  found.token_scales[7] = std::nextafter(found.token_scales[7], 1.0F);
  CHECK(fast.compare(found).first.find("row 7: expected token scale") == 0);
  found = fast.expected;
  const auto matrix = fast.problem.scale_matrix();
  found.blocks.scales[matrix.offset(39, 13)] = 1;
  CHECK(fast.compare(found).scale_differences == 1);
  found = fast.expected;
  found.blocks.scales[matrix.offset(100, 0)] = 1;
  CHECK(fast.compare(found).first.find("scale padding") == 0);
  // A row that must not be written, and is, with what would be right for it.
  found = fast.expected;
  fast.written[5] = false;
  fast.expected.blocks.codes[104 * 5] = 0xA5;
  CHECK_FALSE(fast.compare(found).ok());
  found.token_scales.pop_back();
  CHECK_THROWS_AS(fast.compare(found), std::invalid_argument);
}

TEST_CASE("comparison per token: G a unit off is excused in fast mode, more is not",
          "[per-token]") {
  for (const auto& config : {std::optional<FourOverSix>(), std::optional(FourOverSix{}),
                             std::optional(FourOverSix{ErrorMetric::mse, 256, ErrorMath::fast})}) {
    const Judged fast(MathMode::fast, config);
    std::uint64_t excused = 0;
    for (const double factor : {1.0 + 0x1p-24, 1.0 - 0x1p-24}) {
      const auto report = fast.compare(fast.with_encode_scales_off_by(factor));
      INFO(report.first);
      CHECK(report.ok());
      excused += report.excused_blocks;
    }
    CHECK(excused > 0);
    CHECK_FALSE(fast.compare(fast.with_encode_scales_off_by(1.02)).ok());
  }
}
