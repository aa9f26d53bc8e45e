// The sum of an array over ranks, in their order; ftz.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/formats.hpp"

namespace fourge::reference {

// Where the sum is rounded to the type of the elements.
enum class SumRounding { at_end, after_each };

// The sum starts at +0.0; an element of -0.0 counts as +0.0; a NaN is stored as 0x7FFF. All ranks have as
// many elements as the first.
std::vector<std::uint16_t> allreduce(ElementType type,
                                     std::span<const std::vector<std::uint16_t>> ranks,
                                     SumRounding rounding);

}  // namespace fourge::reference
