#include <algorithm>
#include <bit>
#include <stdexcept>

#include "reference/nvfp4_per_token.hpp"
#include "reference/quantize_block.hpp"

namespace fourge::reference {
namespace {

struct Row {
  const Nvfp4Problem& problem;
  const std::optional<FourOverSix>& config;
  std::int64_t index;
  float maximum;
  TokenScale scale;
};

// As fast mode does it: G is the reciprocal of the token scale, unless that is zero.
QuantizedBlock quantize_block_of(const Row& row, std::int64_t block,
                                 const ReciprocalErrors& errors) {
  const auto x = block_of(row.problem, row.index, block);
  const ElementType type = row.problem.type;
  const float encode =
      row.scale.decode == 0.0F ? row.scale.encode : reciprocal(row.scale.decode, errors.of_given);
  QuantizedBlock result;
  std::transform(x.begin(), x.end(), result.elements.begin(),
                 [type](std::uint16_t bits) { return to_float(type, bits); });
  if (!row.config) {
    result.chosen = quantize_nvfp4_block(x, type, encode, row.problem.math);
    return result;
  }
  const FourOverSixBlock both =
      quantize_4over6_block(x, type, encode, reciprocal(encode, errors.of_scale), row.problem.math,
                            *row.config, row.maximum);
  result.chosen = both.chosen;
  result.has_other = true;
  result.other = both.other;
  result.error_4 = both.error_4;
  result.error_6 = both.error_6;
  return result;
}

void note(CompareReport& report, const std::string& text) {
  if (report.first.empty()) {
    report.first = text;
  }
}

void compare_row(const Row& row, bool written, const Nvfp4Output& expected,
                 const Nvfp4Output& found, CompareReport& report) {
  const ScaleMatrix matrix = row.problem.scale_matrix();
  for (std::int64_t block = 0; block < matrix.cols(); ++block) {
    ++report.blocks;
    const std::size_t scale_at = matrix.offset(row.index, block);
    const auto at = static_cast<std::size_t>(row.index * row.problem.cols + block * kNvfp4Block);
    const BlockCodes want = codes_at(expected.codes, at / 2);
    const BlockCodes got = codes_at(found.codes, at / 2);
    const unsigned want_scale = expected.scales[scale_at];
    const unsigned scale = found.scales[scale_at];
    if (want_scale == scale && std::equal(want.begin(), want.end(), got.begin())) {
      continue;
    }
    const auto make = [&](const ReciprocalErrors& errors) {
      return quantize_block_of(row, block, errors);
    };
    if (written && row.problem.math == MathMode::fast &&
        fast_block_is_right(make, scale, got, report)) {
      continue;
    }
    report.scale_differences += want_scale != scale ? 1U : 0U;
    report.code_differences += differing_codes(want, got);
    note(report, describe({0, row.index, block}, want_scale, scale, want, got));
  }
}

void compare_padding(const ScaleMatrix& matrix, const Nvfp4Output& expected,
                     const Nvfp4Output& found, CompareReport& report) {
  for (std::int64_t row = 0; row < matrix.padded_rows(); ++row) {
    const std::int64_t first = row < matrix.rows() ? matrix.cols() : 0;
    for (std::int64_t col = first; col < matrix.padded_cols(); ++col) {
      const std::size_t at = matrix.offset(row, col);
      if (found.scales[at] != expected.scales[at]) {
        ++report.scale_differences;
        note(report, "scale padding at byte " + std::to_string(at) + " is " +
                         std::to_string(found.scales[at]) + ", not " +
                         std::to_string(expected.scales[at]));
      }
    }
  }
}

bool same_sizes(const PerTokenOutput& a, const PerTokenOutput& b) {
  return a.blocks.codes.size() == b.blocks.codes.size() &&
         a.blocks.scales.size() == b.blocks.scales.size() &&
         a.token_scales.size() == b.token_scales.size();
}

}  // namespace

CompareReport compare_per_token(const Nvfp4Problem& problem, float global_scale_inverse,
                                const std::optional<FourOverSix>& config,
                                const std::vector<bool>& written, const PerTokenOutput& expected,
                                const PerTokenOutput& found) {
  check_shape(problem);
  const auto rows = static_cast<std::size_t>(problem.rows);
  if (!same_sizes(expected, found) || written.size() != rows ||
      expected.token_scales.size() != rows) {
    throw std::invalid_argument("the outputs do not have the sizes that their problem needs");
  }
  CompareReport report;
  compare_padding(problem.scale_matrix(), expected.blocks, found.blocks, report);
  for (std::size_t row = 0; row < rows; ++row) {
    const auto cols = static_cast<std::size_t>(problem.cols);
    const float maximum = magnitude_maximum(problem.x.subspan(row * cols, cols), problem.type);
    const TokenScale scale =
        token_scale(maximum, global_scale_inverse, problem.math, config.has_value());
    const Row whole{problem, config, static_cast<std::int64_t>(row), maximum, scale};
    compare_row(whole, written[row], expected.blocks, found.blocks, report);
    if (std::bit_cast<std::uint32_t>(expected.token_scales[row]) !=
        std::bit_cast<std::uint32_t>(found.token_scales[row])) {
      ++report.scale_differences;
      note(report, "row " + std::to_string(row) + ": expected token scale " +
                       std::to_string(expected.token_scales[row]) + ", found " +
                       std::to_string(found.token_scales[row]));
    }
  }
  return report;
}

}  // namespace fourge::reference
