#include "reference/amax.hpp"

#include <cmath>
#include <stdexcept>
#include <string>

#include "reference/ftz.hpp"

namespace fourge::reference {

std::vector<float> to_floats(std::span<const std::uint16_t> x, ElementType type) {
  std::vector<float> values;
  values.reserve(x.size());
  for (const std::uint16_t bits : x) {
    values.push_back(to_float(type, bits));
  }
  return values;
}

float largest_magnitude(std::span<const float> x) noexcept {
  float largest = 0;
  for (const float value : x) {
    if (std::fabs(value) > largest) {  // false for NaN
      largest = std::fabs(value);
    }
  }
  return largest;
}

float row_amax(std::span<const float> row, float scale) noexcept {
  float largest = 0;
  for (const float value : row) {
    const float product = std::fabs(ftz::mul(value, scale));
    if (product > largest) {  // false for NaN
      largest = product;
    }
  }
  return largest;
}

std::vector<float> row_amax(const RowAmaxProblem& problem, float untouched) {
  const bool legal = problem.rows >= 0 && problem.cols > 0 &&
                     problem.x.size() == static_cast<std::size_t>(problem.rows) *
                                             static_cast<std::size_t>(problem.cols);
  if (!legal) {
    throw std::invalid_argument(
        "row maxima need rows * columns elements; got " + std::to_string(problem.rows) + " x " +
        std::to_string(problem.cols) + " and " + std::to_string(problem.x.size()) + " elements");
  }
  const auto cols = static_cast<std::size_t>(problem.cols);
  std::vector<float> result(static_cast<std::size_t>(problem.rows), untouched);
  const auto take = [&](std::size_t row) {
    result[row] = row_amax(problem.x.subspan(row * cols, cols), problem.scale);
  };
  if (!problem.mapped) {
    for (std::size_t row = 0; row < result.size(); ++row) {
      take(row);
    }
  }
  for (const std::int32_t row : problem.row_map) {
    if (problem.mapped && row >= 0 && row < problem.rows) {
      take(static_cast<std::size_t>(row));
    }
  }
  return result;
}

float encode_scale(float amax, float range) noexcept {
  const float scale = ftz::min(ftz::div(ftz::mul(range, 6.0F), amax), ftz::kMax);
  return scale == 0.0F ? 1.0F : scale;
}

}  // namespace fourge::reference
