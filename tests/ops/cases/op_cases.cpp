#include "tests/ops/cases/op_cases.hpp"

#include "tests/ops/cases/nvfp4_activation_cases.hpp"
#include "tests/ops/cases/nvfp4_quantize_cases.hpp"

namespace fourge::tests {

std::span<const OpCases> all_op_cases() {
  static constexpr OpCases kCases[] = {
      {"nvfp4_quantize", visit_nvfp4_quantize_calls},
      {"nvfp4_quantize_grouped", visit_nvfp4_quantize_grouped_calls},
      {"silu_and_mul_nvfp4_quantize", visit_silu_and_mul_calls},
  };
  return kCases;
}

}  // namespace fourge::tests
