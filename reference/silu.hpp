// SiLU-and-multiply of numerics.md 10.4: y = silu(g) * u in binary32, rounded to the input's type.
//
// silu(g) = g / (1 + 2^(-g log2 e)), one rounding a step, with FTZ. The exponential is fourge's own
// definition of exact mode: n = rint(z), f = z - n, a polynomial of degree 6 in Horner form with fused
// multiply-adds, times 2^n in two factors. It is within one unit in the last place of 2^z.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/formats.hpp"

namespace fourge::reference {

float exp2_exact_mode(float z) noexcept;
float silu(float g) noexcept;

// gate and linear: as many elements each. The result has the inputs' type.
std::vector<std::uint16_t> silu_and_mul(std::span<const std::uint16_t> gate,
                                        std::span<const std::uint16_t> linear, ElementType type);

}  // namespace fourge::reference
