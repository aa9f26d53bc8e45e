// The reference's quantizer for the axes "in", "out", "scale" and "4over6" of a spec.
#pragma once

#include <fourge/kernel_spec.hpp>

#include "reference/ftz.hpp"
#include "reference/quantize_values.hpp"
#include "tests/support/four_over_six.hpp"

namespace fourge::tests {

// With scale=token the scale is that which callers usually give; otherwise set it.
inline reference::ValueQuantizer value_quantizer_of(const KernelSpec& spec) {
  reference::ValueQuantizer quantizer;
  quantizer.type =
      spec.get("in") == "bf16" ? reference::ElementType::bf16 : reference::ElementType::f16;
  quantizer.format = spec.get("out") == "nvfp4"   ? reference::ValueFormat::nvfp4
                     : spec.get("out") == "mxfp8" ? reference::ValueFormat::mxfp8
                                                  : reference::ValueFormat::fp8;
  quantizer.per_token = spec.get("scale") == "token";
  quantizer.four_over_six = four_over_six_of(spec);
  if (quantizer.per_token) {
    const float range =
        quantizer.four_over_six ? static_cast<float>(quantizer.four_over_six->e4m3_max) : 448.0F;
    quantizer.scale = reference::ftz::rcp(range * 6.0F);
  }
  return quantizer;
}

}  // namespace fourge::tests
