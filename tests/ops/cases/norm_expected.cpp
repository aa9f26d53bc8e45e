#include "tests/ops/cases/norm_expected.hpp"

#include "reference/parallel_rows.hpp"
#include "reference/rmsnorm.hpp"
#include "reference/scale_layout.hpp"
#include "tests/support/patterns.hpp"
#include "tests/support/value_quantizer.hpp"

#include <algorithm>
#include <span>

namespace fourge::tests {
namespace {

reference::Rmsnorm norm_of(const KernelSpec& spec) {
  reference::Rmsnorm norm;
  norm.type = spec.get("in") == "bf16" ? reference::ElementType::bf16 : reference::ElementType::f16;
  norm.rounded = spec.get("order") == "rounded";
  norm.weight_plus_one = spec.get("weight") == "plus_one";
  return norm;
}

// One piece of a row-major array for each row.
template <class T>
void put_row(std::vector<T>& all, std::int64_t row, std::int64_t rows,
             const std::vector<T>& piece) {
  all.resize(static_cast<std::size_t>(rows) * piece.size());
  std::copy(piece.begin(), piece.end(), all.begin() + row * std::ssize(piece));
}

std::vector<reference::NormedRow> normed_rows(const reference::Rmsnorm& norm,
                                              const NormInput& input) {
  const auto width = static_cast<std::size_t>(input.cols);
  std::vector<reference::NormedRow> normed(static_cast<std::size_t>(input.rows));
  reference::parallel_rows(input.rows, 4, [&, width](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      const auto at = static_cast<std::size_t>(row) * width;
      const auto x = std::span(input.x).subspan(at, width);
      const auto residual = input.residual.empty() ? std::span<const std::uint16_t>{}
                                                   : std::span(input.residual).subspan(at, width);
      normed[static_cast<std::size_t>(row)] = rmsnorm_row(x, residual, input.weight, norm);
    }
  });
  return normed;
}

void expect_codes(const KernelSpec& spec, const NormInput& input,
                  const std::vector<reference::NormedRow>& normed, NormExpected& expected) {
  reference::ValueQuantizer quantizer = value_quantizer_of(spec);
  if (!quantizer.per_token) {
    quantizer.scale =
        spec.get("out") == "fp8" ? 0.0123F : te_global_scale(expected.norm_out, quantizer.type);
  }
  expected.scale = quantizer.scale;
  const std::int64_t block = spec.get("out") == "nvfp4" ? 16 : 32;
  const bool has_scales = spec.get("out") != "fp8";
  const reference::ScaleMatrix matrix(reference::parse_scale_layout(spec.get("layout")), input.rows,
                                      input.cols / block);
  expected.scales.resize(has_scales ? matrix.bytes() : 0);
  for (std::int64_t row = 0; row < input.rows; ++row) {
    const auto result = quantize_values(normed[static_cast<std::size_t>(row)].y, quantizer);
    put_row(expected.q, row, input.rows, result.codes);
    for (std::size_t c = 0; c < result.scales.size(); ++c) {
      expected.scales[matrix.offset(row, static_cast<std::int64_t>(c))] = result.scales[c];
    }
    expected.token_scales.push_back(result.token_scale);
  }
}

}  // namespace

NormExpected expect_norm(const KernelSpec& spec, const NormInput& input) {
  const reference::Rmsnorm norm = norm_of(spec);
  const auto normed = normed_rows(norm, input);
  NormExpected expected;
  expected.eps = norm.eps;
  for (std::int64_t row = 0; row < input.rows; ++row) {
    put_row(expected.norm_out, row, input.rows, normed[static_cast<std::size_t>(row)].y_16);
    put_row(expected.residual_out, row, input.rows, normed[static_cast<std::size_t>(row)].sum_16);
  }
  if (spec.get("out") != "norm") {
    expect_codes(spec, input, normed, expected);
  }
  return expected;
}

}  // namespace fourge::tests
