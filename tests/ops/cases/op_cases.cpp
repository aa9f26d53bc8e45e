#include "tests/ops/cases/op_cases.hpp"

#include "tests/ops/cases/allreduce_cases.hpp"
#include "tests/ops/cases/amax_cases.hpp"
#include "tests/ops/cases/dequantize_cases.hpp"
#include "tests/ops/cases/fp8_quantize_cases.hpp"
#include "tests/ops/cases/moe_activation_cases.hpp"
#include "tests/ops/cases/moe_expand_cases.hpp"
#include "tests/ops/cases/moe_finalize_cases.hpp"
#include "tests/ops/cases/moe_permute_cases.hpp"
#include "tests/ops/cases/moe_route_cases.hpp"
#include "tests/ops/cases/moe_swiglu_cases.hpp"
#include "tests/ops/cases/mx_quantize_cases.hpp"
#include "tests/ops/cases/nvfp4_activation_cases.hpp"
#include "tests/ops/cases/nvfp4_per_token_cases.hpp"
#include "tests/ops/cases/nvfp4_quantize_cases.hpp"
#include "tests/ops/cases/rmsnorm_cases.hpp"
#include "tests/ops/cases/scale_interleave_cases.hpp"
#include "tests/support/variant_sample.hpp"

namespace fourge::tests {

std::span<const OpCases> all_op_cases() {
  static constexpr OpCases kCases[] = {
      {"nvfp4_quantize", visit_nvfp4_quantize_calls},
      {"nvfp4_quantize_grouped", visit_nvfp4_quantize_grouped_calls},
      {"silu_and_mul_nvfp4_quantize", visit_silu_and_mul_calls},
      {"mxfp4_quantize", visit_mxfp4_quantize_calls},
      {"mxfp8_quantize", visit_mxfp8_quantize_calls},
      {"fp8_quantize_1x128", visit_fp8_quantize_1x128_calls},
      {"fp8_quantize_128x128", visit_fp8_quantize_128x128_calls},
      {"nvfp4_quantize_per_token", visit_nvfp4_per_token_calls},
      {"row_amax", visit_row_amax_calls},
      {"global_scale", visit_global_scale_calls},
      {"scale_interleave", visit_scale_interleave_calls},
      {"scale_deinterleave", visit_scale_deinterleave_calls},
      {"nvfp4_dequantize", visit_nvfp4_dequantize_calls},
      {"mxfp4_dequantize", visit_mxfp4_dequantize_calls},
      {"mxfp8_dequantize", visit_mxfp8_dequantize_calls},
      {"moe_swiglu_fp8_block", visit_moe_swiglu_calls},
      {"moe_permute", visit_moe_permute_calls},
      {"moe_finalize", visit_moe_finalize_calls},
      {"moe_expand_quantize", visit_moe_expand_calls},
      {"rmsnorm_quantize", visit_rmsnorm_quantize_calls},
      {"moe_activation_quantize", visit_moe_activation_quantize_calls},
      {"moe_route_topk", visit_moe_route_topk_calls},
      {"moe_route_maps", visit_moe_route_maps_calls},
      {"allreduce_rmsnorm_quantize", visit_allreduce_calls},
  };
  return kCases;
}

std::vector<KernelSpec> variants_with_calls(std::string_view op, std::span<const Target> targets) {
  auto specs = variants_for(find_op(op), targets);
  if (op == "allreduce_rmsnorm_quantize") {
    std::erase_if(specs, [](const KernelSpec& spec) { return spec.get("ranks") != "1"; });
  }
  return specs;
}

}  // namespace fourge::tests
