// SiLU-and-multiply of numerics.md 10.4: y = silu(g) * u in binary32, rounded to the input's type.
//
// silu(g) = g * sigmoid(g), sigmoid(t) = 1 / (1 + 2^(-t log2 e)), one rounding a step, with FTZ. Exponential
// and product are fourge's own definition of exact mode (docs/numerics.md).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/formats.hpp"

namespace fourge::reference {

// 2^z within one unit in the last place: n = rint(z), f = z - n, a polynomial of degree 6 in Horner form
// with fused multiply-adds, times 2^n in two factors.
float exp2_exact_mode(float z) noexcept;
// The exponential inside is within 2 units in the last place; NaN gives 1.
float sigmoid_exact_mode(float t) noexcept;
float swish(float g, float t) noexcept;  // g * sigmoid(t)
float silu(float g) noexcept;

// gate and linear: as many elements each. The result has the inputs' type.
std::vector<std::uint16_t> silu_and_mul(std::span<const std::uint16_t> gate,
                                        std::span<const std::uint16_t> linear, ElementType type);

}  // namespace fourge::reference
