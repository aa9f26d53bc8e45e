// Axis values that several operations share, so that the same text means the same everywhere.
#pragma once

#include <fourge/op_definition.hpp>

namespace fourge::jit {

inline constexpr AxisValue kInput16Values[] = {
    {"bf16", "fourge_device::ElementType::bf16", "bfloat16 input"},
    {"f16", "fourge_device::ElementType::f16", "IEEE half input"}};

inline constexpr AxisValue kInputFloatValues[] = {
    kInput16Values[0],
    kInput16Values[1],
    {"f32", "fourge_device::ElementType::f32", "IEEE single input"}};

inline constexpr AxisValue kOutputFloatValues[] = {
    {"f32", "fourge_device::ElementType::f32", "IEEE single output"},
    {"bf16", "fourge_device::ElementType::bf16", "bfloat16 output"},
    {"f16", "fourge_device::ElementType::f16", "IEEE half output"}};

inline constexpr AxisValue kScaleLayoutValues[] = {
    {"linear", "fourge_device::ScaleLayout::linear", "row-major block scales, no padding"},
    {"128x4", "fourge_device::ScaleLayout::tiled_128x4", "tiles of 128 rows by 4 columns"},
    {"8x4", "fourge_device::ScaleLayout::tiled_8x4", "tiles of 8 rows by 4 columns"}};

inline constexpr AxisValue kMathValues[] = {
    {"exact", "fourge_device::MathMode::exact", "IEEE division, the same bits everywhere"},
    {"fast", "fourge_device::MathMode::fast", "approximate reciprocals"}};

// NVFP4 4over6. 448 and 256 say for which largest block scale the caller made the global scale; "fast"
// is the error's arithmetic (in the scaled domain, before the division by the global scale).
inline constexpr AxisValue kFourOverSixValues[] = {
    {"off", "fourge_device::FourOverSix::off", "each block's maximum is encoded at 6"},
    {"mae448", "fourge_device::FourOverSix::mae448",
     "at 4 or 6, by absolute error; G made for 448"},
    {"mse448", "fourge_device::FourOverSix::mse448", "at 4 or 6, by squared error; G made for 448"},
    {"mae256", "fourge_device::FourOverSix::mae256",
     "at 4 or 6, by absolute error; G made for 256"},
    {"mse256", "fourge_device::FourOverSix::mse256", "at 4 or 6, by squared error; G made for 256"},
    {"mae448fast", "fourge_device::FourOverSix::mae448fast", "as mae448, fast error arithmetic"},
    {"mse448fast", "fourge_device::FourOverSix::mse448fast", "as mse448, fast error arithmetic"},
    {"mae256fast", "fourge_device::FourOverSix::mae256fast", "as mae256, fast error arithmetic"},
    {"mse256fast", "fourge_device::FourOverSix::mse256fast", "as mse256, fast error arithmetic"}};

inline constexpr Axis kFourOverSixAxis = {"4over6", "kFourOverSix",
                                          "whether and how a block chooses between two encodings",
                                          kFourOverSixValues};

inline constexpr Axis kInput16Axis = {"in", "kInput", "element type of x", kInput16Values};
inline constexpr Axis kInputFloatAxis = {"in", "kInput", "element type of x", kInputFloatValues};
inline constexpr Axis kOutputFloatAxis = {"out", "kOutput", "element type of the output",
                                          kOutputFloatValues};
inline constexpr Axis kScaleLayoutAxis = {"layout", "kLayout", "layout of the block scales",
                                          kScaleLayoutValues};
inline constexpr Axis kMathAxis = {"math", "kMath", "arithmetic", kMathValues};

}  // namespace fourge::jit
