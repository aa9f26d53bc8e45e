#include "reference/moe_expand.hpp"

#include <algorithm>

#include "reference/ftz.hpp"
#include "reference/mx.hpp"
#include "reference/nvfp4_per_token.hpp"

namespace fourge::reference {
namespace {

struct QuantizedRow {
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> scales;
  float token_scale = 0;
};

QuantizedRow nvfp4_row(const MoeExpandProblem& problem, std::span<const std::uint16_t> x, float g) {
  Nvfp4Problem row;
  row.x = x;
  row.type = problem.type;
  row.rows = 1;
  row.cols = problem.cols;
  row.global_scale = g;
  if (problem.per_token) {
    const int range = problem.four_over_six ? problem.four_over_six->e4m3_max : 448;
    auto result = quantize_nvfp4_per_token(row, ftz::rcp(static_cast<float>(range * 6)),
                                           problem.four_over_six);
    return {result.blocks.codes, result.blocks.scales, result.token_scales[0]};
  }
  const auto result = problem.four_over_six ? quantize_nvfp4_4over6(row, *problem.four_over_six)
                                            : quantize_nvfp4(row);
  return {result.codes, result.scales};
}

QuantizedRow mxfp8_row(const MoeExpandProblem& problem, std::span<const std::uint16_t> x) {
  const auto result =
      quantize_mx({MxFormat::mxfp8, x, problem.type, 1, problem.cols, problem.cols});
  return {result.data, result.scales};
}

QuantizedRow fp8_row(const MoeExpandProblem& problem, std::span<const std::uint16_t> x) {
  const float amax = magnitude_maximum(x, problem.type);
  float encode = ftz::is_zero(amax) ? 1.0F : ftz::min(ftz::div(448.0F, amax), ftz::kMax);
  encode = encode == 0 ? 1.0F : encode;
  QuantizedRow result;
  result.token_scale = ftz::rcp(encode);
  for (const std::uint16_t element : x) {
    result.codes.push_back(encode_e4m3(ftz::mul(to_float(problem.type, element), encode)));
  }
  return result;
}

QuantizedRow quantize_row(const MoeExpandProblem& problem, const ExpandedRow& row) {
  const auto cols = static_cast<std::size_t>(problem.cols);
  const auto x = problem.x.subspan(static_cast<std::size_t>(row.token) * cols, cols);
  switch (problem.format) {
    case ExpandFormat::nvfp4:
      return nvfp4_row(problem, x, row.global_scale);
    case ExpandFormat::mxfp8:
      return mxfp8_row(problem, x);
    case ExpandFormat::fp8:
      break;
  }
  return fp8_row(problem, x);
}

}  // namespace

void zero_scale_row(const ScaleMatrix& matrix, std::int64_t row, std::span<std::uint8_t> scales) {
  for (std::int64_t col = 0; col < matrix.padded_cols(); ++col) {
    scales[matrix.offset(row, col)] = 0;
  }
}

void moe_expand(const MoeExpandProblem& problem, std::span<const ExpandedRow> rows,
                const ScaleMatrix& matrix, const MoeExpandOutput& output) {
  for (const ExpandedRow& row : rows) {
    const QuantizedRow result = quantize_row(problem, row);
    const std::size_t size = result.codes.size();
    std::copy(result.codes.begin(), result.codes.end(),
              output.codes.subspan(static_cast<std::size_t>(row.row) * size, size).begin());
    if (problem.per_token) {
      output.token_scales[static_cast<std::size_t>(row.row)] = result.token_scale;
    }
    if (!result.scales.empty()) {
      zero_scale_row(matrix, row.scale_row, output.scales);
      for (std::int64_t col = 0; col < matrix.cols(); ++col) {
        output.scales[matrix.offset(row.scale_row, col)] =
            result.scales[static_cast<std::size_t>(col)];
      }
    }
  }
}

}  // namespace fourge::reference
