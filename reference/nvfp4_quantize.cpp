#include "reference/nvfp4_quantize.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>

#include "reference/ftz.hpp"
#include "reference/nvfp4_e4m3.hpp"
#include "reference/parallel_rows.hpp"
#include "reference/quantize_block.hpp"

namespace fourge::reference {
namespace {

bool is_row_form(ScaleForm form) {
  return form == ScaleForm::row || form == ScaleForm::row_inverse;
}
bool is_inverse_form(ScaleForm form) {
  return form == ScaleForm::tensor_inverse || form == ScaleForm::row_inverse;
}

}  // namespace

float reciprocal(float value, int units) noexcept {
  const float exact = ftz::rcp(value);
  if (exact == 0.0F || !std::isfinite(exact)) {
    return exact;
  }
  return ftz::flush(std::bit_cast<float>(std::bit_cast<std::uint32_t>(exact) +
                                         static_cast<std::uint32_t>(units)));
}

std::size_t code_offset(const QuantizeProblem& problem, const BlockPlace& place) noexcept {
  const std::int64_t row = place.batch * problem.rows + place.row;
  return static_cast<std::size_t>(row * problem.cols + place.block * kNvfp4Block) / 2;
}

std::size_t scale_offset(const QuantizeProblem&, const ScaleMatrix& matrix,
                         const BlockPlace& place) noexcept {
  return static_cast<std::size_t>(place.batch) * matrix.bytes() +
         matrix.offset(place.row, place.block);
}

void check_problem(const QuantizeProblem& problem) {
  const auto refuse = [](const char* what) { throw std::invalid_argument(what); };
  if (problem.batches < 0 || problem.rows < 0 || problem.cols <= 0 ||
      problem.cols % kNvfp4Block != 0) {
    refuse("NVFP4 needs batches and rows >= 0 and columns a positive multiple of 16");
  }
  const bool bytes = problem.input == QuantizeInput::e4m3;
  const std::size_t elements = bytes ? problem.x_8.size() : problem.x.size();
  if (elements != static_cast<std::size_t>(problem.batches * problem.rows * problem.cols)) {
    refuse("x does not have batches * rows * columns elements");
  }
  const std::int64_t scales = is_row_form(problem.form) ? problem.rows : 1;
  if (problem.scales.size() != static_cast<std::size_t>(scales)) {
    refuse("there must be one scale, or one for each row");
  }
  if (bytes && (problem.math == MathMode::exact || problem.four_over_six)) {
    refuse("e4m3 input has neither an exact mode nor 4over6");
  }
}

QuantizedBlock quantize_block(const QuantizeProblem& problem, const BlockPlace& place,
                              const ReciprocalErrors& errors) noexcept {
  const auto row = static_cast<std::size_t>(is_row_form(problem.form) ? place.row : 0);
  const float given = problem.scales[row];
  const float scale = is_inverse_form(problem.form) ? reciprocal(given, errors.of_given) : given;
  const float inverse = reciprocal(scale, errors.of_scale);
  const std::size_t first = code_offset(problem, place) * 2;
  QuantizedBlock result;
  if (problem.input == QuantizeInput::e4m3) {
    const auto made = quantize_nvfp4_block_from_e4m3(
        problem.x_8.subspan(first).first<kNvfp4Block>(), scale, inverse);
    result.chosen = made.block;
    std::transform(made.halves.begin(), made.halves.end(), result.elements.begin(), f16_to_float);
    return result;
  }
  const auto type = problem.input == QuantizeInput::bf16 ? ElementType::bf16 : ElementType::f16;
  const auto x = problem.x.subspan(first).first<kNvfp4Block>();
  std::transform(x.begin(), x.end(), result.elements.begin(),
                 [type](std::uint16_t bits) { return to_float(type, bits); });
  if (!problem.four_over_six) {
    // Here 1 / G only goes into the multiplier, where the rule for ties allows for its errors.
    result.chosen = quantize_nvfp4_block(x, type, scale, problem.math);
    return result;
  }
  const FourOverSixBlock both =
      quantize_4over6_block(x, type, scale, inverse, problem.math, *problem.four_over_six, 0.0F);
  result.chosen = both.chosen;
  result.has_other = true;
  result.other = both.other;
  result.error_4 = both.error_4;
  result.error_6 = both.error_6;
  return result;
}

Nvfp4Output quantize(const QuantizeProblem& problem, unsigned threads) {
  check_problem(problem);
  const ScaleMatrix matrix = problem.scale_matrix();
  const std::int64_t all_rows = problem.batches * problem.rows;
  Nvfp4Output output{
      std::vector<std::uint8_t>(static_cast<std::size_t>(all_rows * problem.cols) / 2),
      std::vector<std::uint8_t>(static_cast<std::size_t>(problem.batches) * matrix.bytes())};
  parallel_rows(all_rows, threads, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      for (std::int64_t block = 0; block < problem.blocks_of_row(); ++block) {
        const BlockPlace place{row / problem.rows, row % problem.rows, block};
        const Nvfp4Block made = quantize_block(problem, place, {}).chosen;
        output.scales[scale_offset(problem, matrix, place)] = made.scale;
        std::copy(made.codes.begin(), made.codes.end(),
                  output.codes.begin() + static_cast<std::ptrdiff_t>(code_offset(problem, place)));
      }
    }
  });
  return output;
}

}  // namespace fourge::reference
