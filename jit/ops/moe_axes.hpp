// Axes and checks that the operations around a mixture of experts share.
#pragma once

#include <fourge/kernel_spec.hpp>
#include <fourge/op_definition.hpp>

#include <cstdint>
#include <string_view>

namespace fourge::jit {

inline constexpr AxisValue kMoeIndexValues[] = {
    {"padded", "fourge_device::MoeIndex::padded",
     "entry = token * top_k + j; experts' rows padded to tiles"},
    {"compact", "fourge_device::MoeIndex::compact",
     "entry = j * tokens + token; rows without padding"}};
inline constexpr Axis kMoeIndexAxis = {"index", "kIndex", "how expanded tokens are numbered",
                                       kMoeIndexValues};

// tokens >= 0, top_k > 0, and their product is addressable.
void check_expanded_tokens(const KernelSpec& spec, std::int64_t tokens, std::int64_t top_k);

}  // namespace fourge::jit
