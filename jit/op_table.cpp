#include <fourge/allreduce_rmsnorm_quantize.hpp>
#include <fourge/amax.hpp>
#include <fourge/dequantize.hpp>
#include <fourge/error.hpp>
#include <fourge/fp8_quantize.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/moe_activation_quantize.hpp>
#include <fourge/moe_expand_quantize.hpp>
#include <fourge/moe_finalize.hpp>
#include <fourge/moe_permute.hpp>
#include <fourge/moe_route.hpp>
#include <fourge/moe_route_maps.hpp>
#include <fourge/moe_swiglu_fp8_block.hpp>
#include <fourge/mx_quantize.hpp>
#include <fourge/nvfp4_activation_quantize.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/nvfp4_quantize_per_token.hpp>
#include <fourge/op_definition.hpp>
#include <fourge/rmsnorm_quantize.hpp>
#include <fourge/scale_interleave.hpp>

#include <fmt/format.h>

namespace fourge {

std::span<const OpDefinition* const> all_ops() {
  static const OpDefinition* const ops[] = {
      &nvfp4_quantize_op(),
      &nvfp4_quantize_grouped_op(),
      &silu_and_mul_nvfp4_quantize_op(),
      &mxfp4_quantize_op(),
      &mxfp8_quantize_op(),
      &fp8_quantize_1x128_op(),
      &fp8_quantize_128x128_op(),
      &nvfp4_quantize_per_token_op(),
      &row_amax_op(),
      &global_scale_op(),
      &scale_interleave_op(),
      &scale_deinterleave_op(),
      &nvfp4_dequantize_op(),
      &mxfp4_dequantize_op(),
      &mxfp8_dequantize_op(),
      &moe_swiglu_fp8_block_op(),
      &moe_permute_op(),
      &moe_finalize_op(),
      &moe_expand_quantize_op(),
      &rmsnorm_quantize_op(),
      &moe_activation_quantize_op(),
      &moe_route_topk_op(),
      &moe_route_maps_op(),
      &allreduce_rmsnorm_quantize_op(),
  };
  return ops;
}

const OpDefinition& find_op(std::string_view name) {
  std::string known;
  for (const OpDefinition* op : all_ops()) {
    if (op->name == name) {
      return *op;
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", op->name);
  }
  throw Error(ErrorKind::invalid_spec,
              fmt::format("unknown op \"{}\"; known ops: {}", name, known));
}

std::vector<KernelSpec> legal_variants(const OpDefinition& op, const Target& target) {
  std::vector<KernelSpec> variants;
  KernelSpec spec(op, target);
  // Counts through the axes like an odometer, the last axis fastest.
  for (;;) {
    if (op.refusal(spec).empty()) {
      variants.push_back(spec);
    }
    std::size_t axis = op.axes.size();
    while (axis > 0) {
      --axis;
      const std::size_t next = spec.index(axis) + 1;
      spec.set_index(axis, next < op.axes[axis].values.size() ? next : 0);
      if (spec.index(axis) != 0) {
        break;
      }
      if (axis == 0) {
        return variants;
      }
    }
    if (op.axes.empty()) {
      return variants;
    }
  }
}

}  // namespace fourge
