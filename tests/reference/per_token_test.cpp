#include "reference/nvfp4_per_token.hpp"

#include <bit>
#include <limits>
#include <string>

#include "reference/ftz.hpp"
#include "tests/support/catch.hpp"
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
