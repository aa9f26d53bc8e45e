// The reference against answers that another implementation computed.
#include "tests/support/vectors.hpp"

#include <algorithm>
#include <bit>

#include "reference/compare.hpp"
#include "reference/nvfp4.hpp"
#include "reference/nvfp4_per_token.hpp"
#include "reference/nvfp4_quantize.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

namespace reference = fourge::reference;
using reference::ScaleLayout;

namespace {

const std::vector<fourge::tests::VectorCase>& cases() {
  static const std::vector<fourge::tests::VectorCase> kCases = fourge::tests::load_vectors();
  return kCases;
}

}  // namespace

TEST_CASE("the known-answer vectors are all there", "[vectors]") {
  REQUIRE(cases().size() == 60);
  for (const auto& entry : cases()) {
    INFO(entry.name());
    CHECK(entry.results.size() == 18);
    CHECK(entry.x.size() == static_cast<std::size_t>(entry.rows * entry.cols));
    for (const auto& result : entry.results) {
      CHECK(result.codes.size() == entry.x.size() / 2);
      CHECK(result.scales.size() == entry.x.size() / 16);
      CHECK(result.token_scales.size() ==
            (result.scaling == "token" ? static_cast<std::size_t>(entry.rows) : 0U));
    }
  }
  CHECK_THROWS(cases().front().result("nvfp4", "row"));
}

TEST_CASE("NVFP4 with a tensor scale equals the known answers in every layout", "[vectors]") {
  for (const auto& entry : cases()) {
    const auto& answer = entry.result("nvfp4", "tensor");
    for (const ScaleLayout layout :
         {ScaleLayout::linear, ScaleLayout::tiled_128x4, ScaleLayout::tiled_8x4}) {
      INFO(entry.name() << " " << to_string(layout));
      const reference::Nvfp4Problem problem{
          entry.x,    entry.type,          entry.rows,
          entry.cols, answer.global_scale, reference::MathMode::exact,
          layout};
      const reference::Nvfp4Output output = quantize_nvfp4(problem);
      CHECK(output.codes == answer.codes);

      const reference::ScaleMatrix matrix = problem.scale_matrix();
      std::vector<std::uint8_t> expected(matrix.bytes(), 0);  // padding is zero
      for (std::int64_t row = 0; row < matrix.rows(); ++row) {
        for (std::int64_t col = 0; col < matrix.cols(); ++col) {
          expected[matrix.offset(row, col)] =
              answer.scales[static_cast<std::size_t>(row * matrix.cols() + col)];
        }
      }
      CHECK(output.scales == expected);
    }
  }
}

TEST_CASE("all 1080 results of the vectors", "[vectors]") {
  std::size_t results = 0;
  for (const auto& entry : cases()) {
    for (const auto& answer : entry.results) {
      INFO(entry.name() << " " << answer.config << " " << answer.scaling);
      std::optional<reference::FourOverSix> config;
      if (answer.config != "nvfp4") {
        const auto has = [&](const char* part) {
          return answer.config.find(part) != std::string::npos;
        };
        config = {has("-mse-") ? reference::ErrorMetric::mse : reference::ErrorMetric::mae,
                  has("-256-") ? 256 : 448,
                  has("-fp16err") ? reference::ErrorMath::fast : reference::ErrorMath::strict};
      }
      reference::Nvfp4Output found;
      if (answer.scaling == "token") {
        const reference::Nvfp4Problem problem{entry.x, entry.type, entry.rows, entry.cols};
        auto output = quantize_nvfp4_per_token(problem, answer.global_scale_inverse, config);
        CHECK(std::equal(
            output.token_scales.begin(), output.token_scales.end(), answer.token_scales.begin(),
            answer.token_scales.end(), [](float a, float b) {
              return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
            }));
        found = std::move(output.blocks);
      } else {
        reference::QuantizeProblem problem;
        problem.input = entry.type == reference::ElementType::bf16 ? reference::QuantizeInput::bf16
                                                                   : reference::QuantizeInput::f16;
        problem.x = entry.x;
        problem.rows = entry.rows;
        problem.cols = entry.cols;
        problem.scales = std::span(&answer.global_scale, 1);
        problem.four_over_six = config;
        found = quantize(problem);
      }
      CHECK(found.codes == answer.codes);
      CHECK(found.scales == answer.scales);
      ++results;
    }
  }
  WARN("the reference: " << results << " results of the known-answer vectors");
  CHECK(results == 1080);
}

TEST_CASE("fast mode stays beside the known answers of exact mode", "[vectors]") {
  std::uint64_t blocks = 0;
  std::uint64_t other_scales = 0;
  for (const auto& entry : cases()) {
    INFO(entry.name());
    const auto& answer = entry.result("nvfp4", "tensor");
    const reference::Nvfp4Problem problem{entry.x,
                                          entry.type,
                                          entry.rows,
                                          entry.cols,
                                          answer.global_scale,
                                          reference::MathMode::fast,
                                          ScaleLayout::linear};
    const reference::Nvfp4Output output = quantize_nvfp4(problem);
    for (std::size_t block = 0; block < answer.scales.size(); ++block) {
      ++blocks;
      const unsigned exact = answer.scales[block];
      const unsigned fast = output.scales[block];
      if (fast != exact) {
        // The product is formed in another order and may fall on the other side of a tie.
        ++other_scales;
        CHECK((fast + 1 == exact || fast == exact + 1));
      } else if (fast == 0) {
        for (std::size_t byte = block * 8; byte < block * 8 + 8; ++byte) {
          CHECK((output.codes[byte] & 0x77U) == 0);  // zeros, not saturated as in exact mode
        }
      } else {
        const auto begin = static_cast<std::ptrdiff_t>(block * 8);
        CHECK(std::equal(output.codes.begin() + begin, output.codes.begin() + begin + 8,
                         answer.codes.begin() + begin));
      }
    }
  }
  CHECK(blocks == 11640);
  CHECK(other_scales < blocks / 100);
}

TEST_CASE("the global scale of the vectors is that of te_global_scale", "[vectors]") {
  for (const auto& entry : cases()) {
    INFO(entry.name());
    const float expected = entry.result("nvfp4", "tensor").global_scale;
    const float found = fourge::tests::te_global_scale(entry.x, entry.type);
    CHECK(std::bit_cast<std::uint32_t>(found) == std::bit_cast<std::uint32_t>(expected));
  }
}
