// Rows of tokens quantized and copied to the rows of their experts, put together from the references of
// the formats. fp8: one scale a token; the encode scale 448 / amax (1 for zeros), stored is its
// reciprocal.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "reference/formats.hpp"
#include "reference/nvfp4_4over6.hpp"
#include "reference/scale_layout.hpp"

namespace fourge::reference {

enum class ExpandFormat { nvfp4, mxfp8, fp8 };

struct ExpandedRow {
  std::int64_t token;
  std::int64_t row;        // of codes and of the token scale
  std::int64_t scale_row;  // of block scales
  float global_scale = 1;  // nvfp4 without per_token
};

struct MoeExpandProblem {
  ExpandFormat format = ExpandFormat::nvfp4;
  ElementType type = ElementType::bf16;
  std::span<const std::uint16_t> x;  // rows of cols
  std::int64_t cols = 0;
  bool per_token = false;
  std::optional<FourOverSix> four_over_six;
};

struct MoeExpandOutput {
  std::span<std::uint8_t> codes;
  std::span<std::uint8_t> scales;  // in the layout of the matrix
  std::span<float> token_scales;
};

// Writes the rows, with the scale columns that pad the layout zero, and nothing else.
void moe_expand(const MoeExpandProblem& problem, std::span<const ExpandedRow> rows,
                const ScaleMatrix& matrix, const MoeExpandOutput& output);

// Zeroes a row of block scales.
void zero_scale_row(const ScaleMatrix& matrix, std::int64_t row, std::span<std::uint8_t> scales);

}  // namespace fourge::reference
