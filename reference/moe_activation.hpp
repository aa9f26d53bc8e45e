// Activations with fixed polynomials, one rounding an operation; ftz.hpp, silu.hpp. numerics.md does not
// define them: this is fourge's own definition, and its accuracy is tested against binary64.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/formats.hpp"

namespace fourge::reference {

enum class ActivationKind { swiglu, geglu, geglu_tanh, clamped, relu2, silu, gelu, identity };

struct ActivationForm {
  ActivationKind kind = ActivationKind::swiglu;
  bool gate_first = false;  // a row is [gate | linear] instead of [linear | gate]
  bool rounded = true;      // to the type of x
  float limit = 7.0F;
  float alpha = 1.702F;
  float beta = 1.0F;
};

bool is_gated(ActivationKind kind) noexcept;

float erf_exact_mode(float x) noexcept;
float gelu_erf(float g) noexcept;
float gelu_tanh(float g) noexcept;

// linear counts for gated kinds only.
float activate(float gate, float linear, const ActivationForm& form) noexcept;

// One row of x, with bias of the same length or none.
std::vector<float> activate_row(std::span<const std::uint16_t> x,
                                std::span<const std::uint16_t> bias, ElementType type,
                                const ActivationForm& form);

}  // namespace fourge::reference
