#include "reference/moe_permute.hpp"

#include <algorithm>

namespace fourge::reference {

void permute_rows(std::span<const std::uint8_t> x, RowTokens rows, std::size_t row_bytes,
                  std::span<std::uint8_t> y) {
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (rows[r] >= 0) {
      const auto from = x.subspan(static_cast<std::size_t>(rows[r]) * row_bytes, row_bytes);
      std::copy(from.begin(), from.end(), y.subspan(r * row_bytes, row_bytes).begin());
    }
  }
}

void permute_block_scales(std::span<const float> x_scales, RowTokens rows, std::size_t tokens,
                          std::size_t blocks, std::span<float> y_scales) {
  for (std::size_t s = 0; s < blocks; ++s) {
    for (std::size_t r = 0; r < rows.size(); ++r) {
      y_scales[s * rows.size() + r] =
          rows[r] >= 0 ? x_scales[s * tokens + static_cast<std::size_t>(rows[r])] : 0.0F;
    }
  }
}

}  // namespace fourge::reference
