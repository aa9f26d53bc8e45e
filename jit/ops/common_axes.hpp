// Axis values that several operations share, so that the same text means the same everywhere.
#pragma once

#include <fourge/op_definition.hpp>

namespace fourge::jit {

inline constexpr AxisValue kInput16Values[] = {
    {"bf16", "fourge_device::ElementType::bf16", "bfloat16 input"},
    {"f16", "fourge_device::ElementType::f16", "IEEE half input"}};

inline constexpr AxisValue kScaleLayoutValues[] = {
    {"linear", "fourge_device::ScaleLayout::linear", "row-major block scales, no padding"},
    {"128x4", "fourge_device::ScaleLayout::tiled_128x4", "tiles of 128 rows by 4 columns"},
    {"8x4", "fourge_device::ScaleLayout::tiled_8x4", "tiles of 8 rows by 4 columns"}};

inline constexpr AxisValue kMathValues[] = {
    {"exact", "fourge_device::MathMode::exact", "IEEE division, the same bits everywhere"},
    {"fast", "fourge_device::MathMode::fast", "approximate reciprocals"}};

inline constexpr Axis kInput16Axis = {"in", "kInput", "element type of x", kInput16Values};
inline constexpr Axis kScaleLayoutAxis = {"layout", "kLayout", "layout of the block scales",
                                          kScaleLayoutValues};
inline constexpr Axis kMathAxis = {"math", "kMath", "arithmetic", kMathValues};

}  // namespace fourge::jit
