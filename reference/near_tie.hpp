// The rule for codes of fast mode.
#pragma once

namespace fourge::reference {

// Whether two E2M1 codes (the low 4 bits) of the same sign are neighbours and |element * multiplier|,
// without rounding, is within 4 units in the last place (of binary32) of the tie between them, so that
// an approximate reciprocal may land on either side. element has at most 11 significant bits.
bool near_tie(float element, float multiplier, unsigned expected, unsigned found) noexcept;

}  // namespace fourge::reference
