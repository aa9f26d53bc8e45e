// scaled_cast: codes = E4M3(x * scale), the product rounded to nearest in single precision, then to
// E4M3 (nearest, ties to even, at most 448; NaN becomes 0x7F).
//
//   x           [rows, cols] bf16 or f16, row-major and dense, 32-byte aligned
//   codes       [rows, cols] bytes, 16-byte aligned
//   scale       scale=tensor: the factor of all elements
//   row_scales  scale=row: [rows] floats, 4-byte aligned, the factor of each row
//   rows >= 0; cols > 0 and a multiple of 16
//
// Asynchronous on the caller's stream. All pointers are device pointers and must not overlap.
#pragma once

#include <fourge/op_definition.hpp>

#include <cstdint>
#include <string_view>

struct ScaledCastArgs {
  static constexpr std::string_view kOp = "scaled_cast";

  const void* x = nullptr;
  std::uint8_t* codes = nullptr;
  const float* row_scales = nullptr;
  float scale = 1.0F;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

const fourge::OpDefinition& scaled_cast_op();
