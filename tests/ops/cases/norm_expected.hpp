// The reference's answer to rmsnorm_quantize, from the spec's axes in, out, layout, scale, 4over6, order
// and weight.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <cstdint>
#include <vector>

namespace fourge::tests {

struct NormInput {
  std::int64_t rows;
  std::int64_t cols;
  const std::vector<std::uint16_t>& x;
  const std::vector<std::uint16_t>& residual;  // empty without
  const std::vector<std::uint16_t>& weight;
};

struct NormExpected {
  std::vector<std::uint16_t> residual_out;
  std::vector<std::uint16_t> norm_out;
  std::vector<std::uint8_t> q;  // this and what follows: not with out=norm
  std::vector<std::uint8_t> scales;
  std::vector<float> token_scales;
  float scale = 1;  // to call it with
  float eps = 1e-6F;
};

NormExpected expect_norm(const KernelSpec& spec, const NormInput& input);

}  // namespace fourge::tests
