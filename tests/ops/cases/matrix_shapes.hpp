// The published test matrix of NVFP4 (shapes and initial values), and the extremes of rows and columns.
#pragma once

#include <cstdint>
#include <span>

#include "tests/ops/cases/op_cases.hpp"
#include "tests/support/patterns.hpp"

namespace fourge::tests {

struct MatrixShape {
  std::int64_t rows;
  std::int64_t cols;
};

inline constexpr Pattern kMatrixPatterns[] = {Pattern::random, Pattern::boundary, Pattern::zeros,
                                              Pattern::maxes};

// The small ones first.
inline constexpr MatrixShape kMatrixShapes[] = {
    {1, 64},     {1, 1024},    {3, 128},     {16, 64},  {64, 128},  {128, 64},
    {0, 16},     {0, 65536},   {1, 16},      {1, 4096}, {256, 128}, {512, 256},
    {128, 1024}, {1024, 2048}, {128, 16384}, {1, 65536}};
inline constexpr std::size_t kSmallMatrixShapes = 10;

inline std::span<const MatrixShape> matrix_shapes(CallSize size) {
  return std::span(kMatrixShapes)
      .first(size == CallSize::matrix ? std::size(kMatrixShapes) : kSmallMatrixShapes);
}

}  // namespace fourge::tests
