#include "reference/fp8_block.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "reference/ftz.hpp"
#include "reference/nvfp4.hpp"
#include "reference/parallel_rows.hpp"
#include "reference/ue8m0.hpp"

namespace fourge::reference {
namespace {

void check_shape(const Fp8Problem& p) {
  const bool legal =
      p.rows >= 0 && p.cols > 0 && (p.block_rows == 1 || p.block_rows == kFp8Block) &&
      p.x.size() == static_cast<std::size_t>(p.rows) * static_cast<std::size_t>(p.cols);
  if (!legal) {
    throw std::invalid_argument(
        "block-FP8 needs rows >= 0, columns > 0, blocks of 1 or 128 rows and rows * columns "
        "elements; got " +
        std::to_string(p.rows) + " x " + std::to_string(p.cols) + ", blocks of " +
        std::to_string(p.block_rows) + " rows and " + std::to_string(p.x.size()) + " elements");
  }
}

std::int64_t parts(std::int64_t extent, std::int64_t part) { return (extent + part - 1) / part; }

// Rows and columns of elements, ends excluded.
struct Block {
  std::int64_t first_row, last_row, first_col, last_col;
};

// Calls visit(index) for the position of every element of a block in a row-major matrix.
template <class Visit>
void for_each_element(const Fp8Problem& problem, const Block& block, const Visit& visit) {
  for (std::int64_t row = block.first_row; row < block.last_row; ++row) {
    for (std::int64_t col = block.first_col; col < block.last_col; ++col) {
      visit(static_cast<std::size_t>(row * problem.cols + col));
    }
  }
}

float quantize_block(const Fp8Problem& problem, const Block& block, std::vector<std::uint8_t>& to) {
  std::vector<std::uint16_t> elements;
  for_each_element(problem, block, [&](std::size_t i) { elements.push_back(problem.x[i]); });
  const float scale =
      fp8_block_scale(magnitude_maximum(elements, problem.type), problem.eps, problem.scale);
  const float reciprocal = ftz::rcp(scale);
  for_each_element(problem, block, [&](std::size_t i) {
    to[i] = encode_e4m3(ftz::mul(to_float(problem.type, problem.x[i]), reciprocal));
  });
  return scale;
}

}  // namespace

float fp8_block_scale(float maximum, float eps, Fp8Scale kind) noexcept {
  const float scale = ftz::div(std::max(maximum, eps), 448.0F);
  return kind == Fp8Scale::f32 ? scale : decode_ue8m0(encode_ue8m0(scale));
}

Fp8Output quantize_fp8_blocks(const Fp8Problem& problem, unsigned threads) {
  check_shape(problem);
  const std::int64_t block_rows = parts(problem.rows, problem.block_rows);
  const std::int64_t block_cols = parts(problem.cols, kFp8Block);
  const bool transposed = problem.storage == Fp8Storage::transposed;
  const std::int64_t padded_rows = transposed ? parts(block_rows, 4) * 4 : block_rows;
  Fp8Output output{std::vector<std::uint8_t>(problem.x.size()),
                   std::vector<float>(static_cast<std::size_t>(padded_rows * block_cols))};
  parallel_rows(block_rows, threads, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) {
      for (std::int64_t c = 0; c < block_cols; ++c) {
        const Block block{r * problem.block_rows,
                          std::min((r + 1) * problem.block_rows, problem.rows), c * kFp8Block,
                          std::min((c + 1) * kFp8Block, problem.cols)};
        const std::int64_t at = transposed ? c * padded_rows + r : r * block_cols + c;
        output.scales[static_cast<std::size_t>(at)] = quantize_block(problem, block, output.data);
      }
    }
  });
  return output;
}

}  // namespace fourge::reference
