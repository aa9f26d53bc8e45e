// Rows of tokens copied to the rows of their experts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fourge::reference {

// For each row in use the token that it holds; -1 for padding.
using RowTokens = std::span<const std::int64_t>;

// x: rows of row_bytes, one a token. y: one for each row in use at least; padding is not touched.
void permute_rows(std::span<const std::uint8_t> x, RowTokens rows, std::size_t row_bytes,
                  std::span<std::uint8_t> y);

// Scale of block s of token t at s * tokens + t, that of row r at s * rows.size() + r; zero for padding.
void permute_block_scales(std::span<const float> x_scales, RowTokens rows, std::size_t tokens,
                          std::size_t blocks, std::span<float> y_scales);

}  // namespace fourge::reference
