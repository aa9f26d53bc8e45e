// Everything that an NVFP4 quantization with given scales can be: scales for the tensor or for each
// row, given as such or inverted; 4over6; E4M3 input; batches.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "reference/compare.hpp"
#include "reference/nvfp4.hpp"
#include "reference/nvfp4_4over6.hpp"

namespace fourge::reference {

enum class QuantizeInput { bf16, f16, e4m3 };
enum class ScaleForm { tensor, row, tensor_inverse, row_inverse };

// batches matrices of rows x cols, one after the other.
struct QuantizeProblem {
  QuantizeInput input = QuantizeInput::bf16;
  std::span<const std::uint16_t> x;   // bf16 or f16
  std::span<const std::uint8_t> x_8;  // e4m3
  std::int64_t batches = 1;
  std::int64_t rows = 0;
  std::int64_t cols = 0;  // positive and a multiple of 16
  // One, or one a row, the same for each batch; 1/G for the inverse forms.
  std::span<const float> scales;
  ScaleForm form = ScaleForm::tensor;
  MathMode math = MathMode::exact;  // fast for e4m3
  std::optional<FourOverSix> four_over_six;
  ScaleLayout layout = ScaleLayout::linear;

  std::int64_t blocks_of_row() const noexcept { return cols / kNvfp4Block; }
  ScaleMatrix scale_matrix() const { return {layout, rows, blocks_of_row()}; }
};

// Each batch is padded on its own. Throws std::invalid_argument if sizes do not fit together, or for
// e4m3 in exact mode or with 4over6.
Nvfp4Output quantize(const QuantizeProblem& problem, unsigned threads = 1);

// Exact mode: every byte must be equal, scale padding included.
// Fast mode: a device's reciprocals may be off by a unit in the last place, those of the global scale
// for a whole row. A block is right if it is what the reference makes with some such reciprocals, where
// codes may be neighbours near a tie (near_tie.hpp, excused_codes). With 4over6, the other encoding is
// right too when the errors differ by at most 1e-5 of the larger one. Blocks that needed other
// reciprocals or the other encoding are counted as excused_blocks. Throws as quantize().
CompareReport compare(const QuantizeProblem& problem, const Nvfp4Output& expected,
                      const Nvfp4Output& found);

}  // namespace fourge::reference
