// Largest magnitudes of rows and of a tensor, and the encode scale made from the latter.
//
// Decisions: NaN is skipped, also a NaN that an infinity times zero makes; of nothing the largest
// magnitude is 0. Arithmetic flushes subnormals (ftz.hpp); a maximum itself is exact.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/formats.hpp"

namespace fourge::reference {

// Elements of a 16-bit type as floats.
std::vector<float> to_floats(std::span<const std::uint16_t> x, ElementType type);

// The largest magnitude that is not NaN; 0 if there is none.
float largest_magnitude(std::span<const float> x) noexcept;

// max over the row's elements of |RN(x * scale)|, product by product.
float row_amax(std::span<const float> row, float scale) noexcept;

// What the operation writes: for each row that the map names (every row without a map) its maximum, for
// the others `untouched`. Entries outside the rows are skipped. Throws std::invalid_argument if x is not
// rows * cols elements.
struct RowAmaxProblem {
  std::span<const float> x;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  float scale = 1.0F;
  bool mapped = false;
  std::span<const std::int32_t> row_map;
};
std::vector<float> row_amax(const RowAmaxProblem& problem, float untouched);

// range * 6 / amax, at most the largest float; 1 where that is zero (an infinite amax). range: 448 or
// 256.
float encode_scale(float amax, float range) noexcept;

}  // namespace fourge::reference
