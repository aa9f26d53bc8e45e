// Axes of the operations that quantize what they compute (device/unit_quantize.cuh).
#pragma once

#include "jit/ops/common_axes.hpp"

#include <span>

namespace fourge::jit {

inline constexpr AxisValue kExactMathValues[] = {kMathValues[0]};
inline constexpr Axis kExactMathAxis = {"math", "kMath", "arithmetic", kExactMathValues};

inline constexpr AxisValue kRoundingValues[] = {
    {"rounded", "fourge_device::Rounding::rounded",
     "values are rounded to the type of x before they are quantized"},
    {"unrounded", "fourge_device::Rounding::unrounded", "values are quantized as computed"}};

// rmsnorm_quantize takes the first three.
inline constexpr AxisValue kQuantizedFormatValues[] = {
    {"nvfp4", "fourge_device::QuantizedFormat::nvfp4", "E2M1 with an E4M3 scale for 16"},
    {"mxfp8", "fourge_device::QuantizedFormat::mxfp8", "E4M3 with a UE8M0 scale for 32"},
    {"fp8", "fourge_device::QuantizedFormat::fp8", "E4M3 without block scales"},
    {"same", "fourge_device::QuantizedFormat::none", "the type of x, not quantized"}};

// Without experts, the first two.
inline constexpr AxisValue kScalingValues[] = {
    {"tensor", "fourge_device::Scaling::tensor", "one scale, given (MXFP8: none)"},
    {"token", "fourge_device::Scaling::token", "one a row, computed from it"},
    {"expert", "fourge_device::Scaling::expert", "one an expert, given"}};
constexpr Axis scaling_axis(std::size_t values) {
  return {"scale", "kScaling", "where the scale above the block scales comes from",
          std::span(kScalingValues).first(values)};
}

inline constexpr AxisValue kNormWeightValues[] = {
    {"plain", "fourge_device::NormWeight::plain", "times weight"},
    {"plus_one", "fourge_device::NormWeight::plus_one", "times weight + 1"}};
inline constexpr Axis kNormWeightAxis = {"weight", "kWeight", "how the weight counts",
                                         kNormWeightValues};

// The configurations with the exact error arithmetic.
inline constexpr Axis kFourOverSixExactAxis = {"4over6", "kFourOverSix", kFourOverSixAxis.summary,
                                               std::span(kFourOverSixValues).first(5)};

}  // namespace fourge::jit
