#include "reference/nvfp4_per_token.hpp"

#include "reference/ftz.hpp"
#include "reference/parallel_rows.hpp"

namespace fourge::reference {

TokenScale token_scale(float row_maximum, float global_scale_inverse, MathMode math,
                       bool four_over_six) noexcept {
  const TokenScale zeros = {four_over_six ? 0.0F : ftz::kMax, 0.0F};
  if (ftz::is_zero(row_maximum)) {
    return zeros;
  }
  if (math == MathMode::fast) {
    const float decode = ftz::mul(row_maximum, global_scale_inverse);
    // A row so small that its scale is flushed to zero counts as zeros: numerics do not want NaN scales.
    return decode == 0.0F ? zeros : TokenScale{ftz::rcp(decode), decode};
  }
  const float ratio = ftz::min(ftz::div(ftz::rcp(global_scale_inverse), row_maximum), ftz::kMax);
  const float encode = ratio == 0.0F ? 1.0F : ratio;
  return {encode, ftz::rcp(encode)};
}

PerTokenOutput quantize_nvfp4_per_token(const Nvfp4Problem& problem, float global_scale_inverse,
                                        const std::optional<FourOverSix>& config,
                                        unsigned threads) {
  PerTokenOutput output{make_output(problem),
                        std::vector<float>(static_cast<std::size_t>(problem.rows))};
  const auto cols = static_cast<std::size_t>(problem.cols);
  parallel_rows(problem.rows, threads, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      const auto index = static_cast<std::size_t>(row);
      const float maximum = magnitude_maximum(problem.x.subspan(index * cols, cols), problem.type);
      const TokenScale scale =
          token_scale(maximum, global_scale_inverse, problem.math, config.has_value());
      output.token_scales[index] = scale.decode;
      for (std::int64_t block = 0; block < problem.cols / kNvfp4Block; ++block) {
        const auto x = block_of(problem, row, block);
        const Nvfp4Block result =
            config ? quantize_4over6_block(x, problem.type, scale.encode, problem.math, *config,
                                           maximum)
                         .chosen
                   : quantize_nvfp4_block(x, problem.type, scale.encode, problem.math);
        store_block(problem, row, block, result, output.blocks);
      }
    }
  });
  return output;
}

}  // namespace fourge::reference
