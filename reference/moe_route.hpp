// Which experts a token goes to, and with what weights: binary32, one rounding an operation, ftz.hpp;
// exp and sigmoid as in silu.hpp. Of equal values the lower expert (group) wins; a NaN logit counts as
// -infinity; a bias counts in the choice only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fourge::reference {

enum class RouteMethod { softmax, renormalize, sigmoid, sigmoid_renorm, llama4, deepseek, raw };

struct RouteForm {
  RouteMethod method = RouteMethod::softmax;
  std::size_t top_k = 1;
  std::size_t groups = 1;  // these and what follows: deepseek
  std::size_t kept_groups = 1;
  float scale = 1.0F;
};

struct Route {
  std::vector<std::int32_t> ids;
  std::vector<float> weights;
};

// bias: one an expert, or none.
Route route_token(std::span<const float> logits, std::span<const float> bias,
                  const RouteForm& form);

}  // namespace fourge::reference
