// Block scales from the linear layout to a tiled one and back, for several matrices one after the other.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/scale_layout.hpp"

namespace fourge::reference {

// batches matrices of the size that `matrix` says, each padded on its own, padding zero. Both throw
// std::invalid_argument if the bytes are not as many as the matrices have.
std::vector<std::uint8_t> interleave_scales(const ScaleMatrix& matrix, std::int64_t batches,
                                            std::span<const std::uint8_t> linear);
// Padding is dropped.
std::vector<std::uint8_t> deinterleave_scales(const ScaleMatrix& matrix, std::int64_t batches,
                                              std::span<const std::uint8_t> tiled);

}  // namespace fourge::reference
