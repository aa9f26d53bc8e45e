// Quantization of rows of binary32 values, as the operations do it that quantize what they compute.
// Values of a 16-bit type give what nvfp4.hpp, nvfp4_4over6.hpp and mx.hpp give for them; others are
// encoded by the same formulas. Exact mode; ftz.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "reference/nvfp4_4over6.hpp"

namespace fourge::reference {

enum class ValueFormat { nvfp4, mxfp8, fp8 };

struct ValueQuantizer {
  ValueFormat format = ValueFormat::nvfp4;
  bool per_token = false;
  // per_token: 1/2688 or 1/1536 for NVFP4. Otherwise NVFP4's encode scale, FP8's decode scale.
  float scale = 1.0F;
  std::optional<FourOverSix> four_over_six;  // NVFP4 of values of `type` only
  ElementType type = ElementType::bf16;
};

struct QuantizedRow {
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> scales;  // one a block; none for FP8
  float token_scale = 0;             // per_token
};

// values: a multiple of 16 (MXFP8: 32).
QuantizedRow quantize_values(std::span<const float> values, const ValueQuantizer& quantizer);

}  // namespace fourge::reference
