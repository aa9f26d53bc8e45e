// The second implementation on the host, against the reference, and that the comparison can fail. Its
// kernels are compiled here; they run in random_blocks_test.cpp.
#include "reference/ftz.hpp"
#include "reference/nvfp4_quantize.hpp"
#include "tests/gpu/random/slow_kernels.hpp"
#include "tests/support/catch.hpp"

#include <bit>
#include <cmath>
#include <set>

#define SLOW_FUNCTION inline
namespace slow {
namespace ftz = fourge::reference::ftz;
SLOW_FUNCTION float mul(float a, float b) { return ftz::mul(a, b); }
SLOW_FUNCTION float add(float a, float b) { return ftz::add(a, b); }
SLOW_FUNCTION float sub(float a, float b) { return ftz::sub(a, b); }
SLOW_FUNCTION float div(float a, float b) { return ftz::div(a, b); }
SLOW_FUNCTION float from_bits(unsigned bits) { return std::bit_cast<float>(bits); }
SLOW_FUNCTION unsigned to_bits(float value) { return std::bit_cast<unsigned>(value); }
}  // namespace slow
#include "tests/gpu/random/slow_nvfp4.cuh"
// After it.
#include "tests/gpu/random/random_blocks.cuh"

namespace fourge::tests {
namespace {

constexpr std::int64_t kBlocks = 1 << 12;

std::vector<std::uint16_t> random_blocks(std::uint64_t seed, int type) {
  std::vector<std::uint16_t> x;
  for (std::int64_t block = 0; block < kBlocks; ++block) {
    for (int i = 0; i < 16; ++i) {
      x.push_back(static_cast<std::uint16_t>(slow::random_element(seed, block, i, type)));
    }
  }
  return x;
}

reference::QuantizeProblem problem_for(std::span<const std::uint16_t> x, const float& global_scale,
                                       int type, int mode) {
  reference::QuantizeProblem problem;
  problem.input =
      type == slow::kBf16 ? reference::QuantizeInput::bf16 : reference::QuantizeInput::f16;
  problem.x = x;
  problem.rows = 1;
  problem.cols = std::ssize(x);
  problem.scales = std::span(&global_scale, 1);
  if (mode != slow::kStandard) {
    problem.four_over_six = reference::FourOverSix{
        mode == slow::kMae ? reference::ErrorMetric::mae : reference::ErrorMetric::mse, 448,
        reference::ErrorMath::strict};
  }
  return problem;
}

}  // namespace

TEST_CASE("the slow quantizer equals the reference on random blocks", "[random]") {
  std::uint64_t seed = 1;
  for (const int type : {slow::kBf16, slow::kF16}) {
    for (const int mode : {slow::kStandard, slow::kMae, slow::kMse}) {
      for (const float global_scale : {1.0F, 256.0F, 2688.0F, 137.846F, 1e-20F, 1e30F}) {
        const auto x = random_blocks(++seed, type);
        const auto expected = reference::quantize(problem_for(x, global_scale, type, mode));
        std::vector<std::uint8_t> codes(x.size() / 2);
        std::vector<std::uint8_t> scales(x.size() / 16);
        for (std::int64_t block = 0; block < kBlocks; ++block) {
          slow::quantize(x.data(), codes.data(), scales.data(), block, type, mode, global_scale);
        }
        INFO("type " << type << " mode " << mode << " G " << global_scale);
        CHECK(codes == expected.codes);
        CHECK(scales == expected.scales);
      }
    }
  }
}

TEST_CASE("random blocks hold what is hard, and depend on seed and place alone", "[random]") {
  for (const int type : {slow::kBf16, slow::kF16}) {
    const auto x = random_blocks(7, type);
    std::size_t nan = 0;
    std::size_t infinite = 0;
    std::size_t subnormal = 0;
    std::size_t minus_zero = 0;
    for (const std::uint16_t bits : x) {
      const float value = slow::decode_element(bits, type);
      const unsigned infinity = type == slow::kBf16 ? 0x7F80U : 0x7C00U;
      nan += std::isnan(value) ? 1U : 0U;
      infinite += std::isinf(value) ? 1U : 0U;
      subnormal += (bits & infinity) == 0 && (bits & 0x7FFFU) != 0 ? 1U : 0U;
      minus_zero += bits == 0x8000U ? 1U : 0U;
    }
    CHECK(nan > 50);
    CHECK(infinite > 50);
    CHECK(subnormal > 20);
    CHECK(minus_zero > 50);
    CHECK(std::set<std::uint16_t>(x.begin(), x.end()).size() > 10000);
    CHECK(x == random_blocks(7, type));
    CHECK_FALSE(x == random_blocks(8, type));

    // 4over6 finds something to choose, and choices with equal errors.
    const float global_scale = 256.0F;
    const auto problem = problem_for(x, global_scale, type, slow::kMae);
    auto standard = problem;
    standard.four_over_six.reset();
    const auto chosen = reference::quantize(problem).scales;
    const auto plain = reference::quantize(standard).scales;
    std::size_t four = 0;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      four += chosen[i] != plain[i] ? 1U : 0U;
    }
    CHECK(four > chosen.size() / 20);
  }
}

TEST_CASE("the kernels of the comparison compile without a word", "[random]") {
  for (const char* target : {"sm_80", "sm_90a", "sm_100a"}) {
    INFO(target);
    CHECK(compile_slow_kernels(Target::parse(target)).size() > 1000);
  }
}

}  // namespace fourge::tests
