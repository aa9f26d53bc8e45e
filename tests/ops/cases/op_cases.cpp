#include "tests/ops/cases/op_cases.hpp"

#include "tests/ops/cases/nvfp4_quantize_cases.hpp"

namespace fourge::tests {

std::span<const OpCases> all_op_cases() {
  static constexpr OpCases kCases[] = {
      {"nvfp4_quantize", visit_nvfp4_quantize_calls},
  };
  return kCases;
}

}  // namespace fourge::tests
