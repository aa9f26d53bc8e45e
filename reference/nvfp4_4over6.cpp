#include "reference/nvfp4_4over6.hpp"

#include <bit>
#include <cmath>

#include "reference/ftz.hpp"
#include "reference/parallel_rows.hpp"

namespace fourge::reference {
namespace {

constexpr float kOneSixth = std::bit_cast<float>(0x3E2A'AAABU);

// What the error of one element depends on besides its candidate.
struct ErrorContext {
  FourOverSix config;
  float global_scale;
  float inverse_global_scale;
  float row_maximum;
};

float scale_of_6(float maximum, float global_scale, MathMode math) {
  if (math == MathMode::fast) {
    return ftz::mul(global_scale, ftz::mul(maximum, kOneSixth));
  }
  return ftz::mul(ftz::div(maximum, 6.0F), global_scale);  // a true division here
}

Nvfp4Block make_candidate(std::span<const std::uint16_t, kNvfp4Block> x, ElementType type,
                          float unrounded_scale, float inverse_global_scale, MathMode math) {
  Nvfp4Block candidate;
  candidate.scale = encode_e4m3(unrounded_scale);
  const float scale = decode_e4m3(candidate.scale);
  const float reciprocal = ftz::rcp(ftz::mul(scale, inverse_global_scale));
  if (math == MathMode::exact) {
    candidate.multiplier = ftz::min(reciprocal, ftz::kMax);
  } else {
    candidate.multiplier = scale == 0.0F ? 0.0F : reciprocal;
  }
  candidate.codes = encode_elements(x, type, candidate.multiplier);
  return candidate;
}

// The signed error of one element x whose candidate is code value * scale.
float difference(float x, float code_value, float scale, const ErrorContext& context) {
  const float product = ftz::mul(code_value, scale);
  if (context.config.error_math == ErrorMath::fast) {
    return ftz::sub(product, ftz::mul(x, context.global_scale));
  }
  if (context.row_maximum > 0.0F) {
    const float denominator = ftz::mul(6.0F, static_cast<float>(context.config.e4m3_max));
    return ftz::sub(ftz::div(ftz::mul(product, context.row_maximum), denominator), x);
  }
  return ftz::sub(ftz::mul(product, context.inverse_global_scale), x);
}

float total_error(std::span<const std::uint16_t, kNvfp4Block> x, ElementType type,
                  const Nvfp4Block& candidate, const ErrorContext& context) {
  const float scale = decode_e4m3(candidate.scale);
  float sum = 0.0F;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const unsigned byte = candidate.codes[i / 2];
    const float code_value = decode_e2m1(static_cast<std::uint8_t>(i % 2 == 0 ? byte : byte >> 4));
    const float error = difference(to_float(type, x[i]), code_value, scale, context);
    const bool squared = context.config.metric == ErrorMetric::mse;
    sum = ftz::add(sum, squared ? ftz::mul(error, error) : std::fabs(error));
  }
  return sum;
}

}  // namespace

FourOverSixBlock quantize_4over6_block(std::span<const std::uint16_t, kNvfp4Block> x,
                                       ElementType type, float global_scale, MathMode math,
                                       const FourOverSix& config, float row_maximum) noexcept {
  return quantize_4over6_block(x, type, global_scale, ftz::rcp(global_scale), math, config,
                               row_maximum);
}

FourOverSixBlock quantize_4over6_block(std::span<const std::uint16_t, kNvfp4Block> x,
                                       ElementType type, float global_scale,
                                       float inverse_global_scale, MathMode math,
                                       const FourOverSix& config, float row_maximum) noexcept {
  const float maximum = magnitude_maximum(x, type);
  if (ftz::is_zero(maximum)) {
    return {};
  }
  const ErrorContext context{config, global_scale, inverse_global_scale, ftz::flush(row_maximum)};
  const float unrounded_6 = scale_of_6(maximum, global_scale, math);
  const float unrounded_4 = ftz::mul(unrounded_6, 1.5F);
  const Nvfp4Block candidate_6 = make_candidate(x, type, unrounded_6, inverse_global_scale, math);
  const Nvfp4Block candidate_4 = make_candidate(x, type, unrounded_4, inverse_global_scale, math);

  FourOverSixBlock result;
  result.error_6 = total_error(x, type, candidate_6, context);
  result.error_4 = total_error(x, type, candidate_4, context);
  result.chose_4 = result.error_4 < result.error_6;
  result.chosen = result.chose_4 ? candidate_4 : candidate_6;
  result.other = result.chose_4 ? candidate_6 : candidate_4;
  return result;
}

Nvfp4Output quantize_nvfp4_4over6(const Nvfp4Problem& problem, const FourOverSix& config,
                                  unsigned threads) {
  Nvfp4Output output = make_output(problem);
  parallel_rows(problem.rows, threads, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      for (std::int64_t block = 0; block < problem.cols / kNvfp4Block; ++block) {
        const FourOverSixBlock result =
            quantize_4over6_block(block_of(problem, row, block), problem.type, problem.global_scale,
                                  problem.math, config, 0.0F);
        store_block(problem, row, block, result.chosen, output);
      }
    }
  });
  return output;
}

}  // namespace fourge::reference
