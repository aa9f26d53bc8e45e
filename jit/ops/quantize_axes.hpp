// Axes of the operations that quantize what they compute (device/unit_quantize.cuh).
#pragma once

#include "jit/ops/common_axes.hpp"

namespace fourge::jit {

inline constexpr AxisValue kExactMathValues[] = {kMathValues[0]};
inline constexpr Axis kExactMathAxis = {"math", "kMath", "arithmetic", kExactMathValues};

inline constexpr AxisValue kRoundingValues[] = {
    {"rounded", "fourge_device::Rounding::rounded",
     "values are rounded to the type of x before they are quantized"},
    {"unrounded", "fourge_device::Rounding::unrounded", "values are quantized as computed"}};

}  // namespace fourge::jit
