// NVFP4 with one scale for each row (token), computed from the row's largest magnitude. Each block
// is then quantized as with a tensor scale, in nvfp4.hpp or nvfp4_4over6.hpp.
//
// A row of zeros (bf16 subnormals count as zero) has token scale 0 and block scales 0x00 in every
// mode.
#pragma once

#include <optional>
#include <vector>

#include "reference/compare.hpp"
#include "reference/nvfp4.hpp"
#include "reference/nvfp4_4over6.hpp"

namespace fourge::reference {

struct TokenScale {
  float encode = 0;  // G of this row: multiplies block maxima
  float decode = 0;  // the stored token scale
};

TokenScale token_scale(float row_maximum, float global_scale_inverse, MathMode math,
                       bool four_over_six) noexcept;

struct PerTokenOutput {
  Nvfp4Output blocks;
  std::vector<float> token_scales;  // one a row
};

// problem.global_scale is not used; global_scale_inverse is normally 1/2688 or 1/1536 (448 * 6 or
// 256 * 6). Without a configuration, 4over6 is off. Threads and errors as quantize_nvfp4().
PerTokenOutput quantize_nvfp4_per_token(const Nvfp4Problem& problem, float global_scale_inverse,
                                        const std::optional<FourOverSix>& config,
                                        unsigned threads = 1);

// Exact mode: every byte must be equal. Fast mode: token scales must be equal, and a block is right by
// the rule of compare() in nvfp4_quantize.hpp. In rows that are not `written` (one entry a row), and in
// the padding of the scales, every byte must be equal in fast mode too.
CompareReport compare_per_token(const Nvfp4Problem& problem, float global_scale_inverse,
                                const std::optional<FourOverSix>& config,
                                const std::vector<bool>& written, const PerTokenOutput& expected,
                                const PerTokenOutput& found);

}  // namespace fourge::reference
