#include "reference/mx.hpp"

#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

#include "reference/ftz.hpp"
#include "reference/nvfp4.hpp"
#include "reference/parallel_rows.hpp"
#include "reference/ue8m0.hpp"

namespace fourge::reference {
namespace {

constexpr float kOneSixth = std::bit_cast<float>(0x3E2A'AAABU);
constexpr float kOne448th = std::bit_cast<float>(0x3B12'4925U);

std::uint8_t encode_element(MxFormat format, float scaled) {
  if (format == MxFormat::mxfp4) {
    return encode_e2m1(scaled);
  }
  // The smaller, then the larger of a NaN and a number is the number.
  return encode_e4m3(std::fmax(std::fmin(scaled, 448.0F), -448.0F));
}

void check_shape(const MxProblem& p) {
  const bool legal =
      p.rows >= 0 && p.cols > 0 && p.cols % kMxBlock == 0 && p.padded_cols >= p.cols &&
      p.padded_cols % kMxBlock == 0 && (p.format == MxFormat::mxfp8 || p.padded_cols == p.cols) &&
      p.x.size() == static_cast<std::size_t>(p.rows) * static_cast<std::size_t>(p.cols);
  if (!legal) {
    throw std::invalid_argument(
        "MX formats need rows >= 0, columns a positive multiple of 32, as many or (MXFP8) more "
        "padded columns and rows * columns elements; got " +
        std::to_string(p.rows) + " x " + std::to_string(p.cols) + " padded to " +
        std::to_string(p.padded_cols) + " and " + std::to_string(p.x.size()) + " elements");
  }
}

void store_codes(MxFormat format, const MxBlock& block, std::span<std::uint8_t> to) {
  for (std::size_t i = 0; i < block.codes.size(); ++i) {
    if (format == MxFormat::mxfp8) {
      to[i] = block.codes[i];
    } else if (i % 2 == 0) {
      to[i / 2] = static_cast<std::uint8_t>(block.codes[i] | block.codes[i + 1] << 4);
    }
  }
}

}  // namespace

MxBlock quantize_mx_block(MxFormat format, std::span<const std::uint16_t, kMxBlock> x,
                          ElementType type) {
  const float maximum = magnitude_maximum(x, type);
  MxBlock block;
  block.scale = encode_ue8m0(ftz::mul(maximum, format == MxFormat::mxfp4 ? kOneSixth : kOne448th));
  block.multiplier = block.scale == 0 ? 0.0F : ftz::rcp(decode_ue8m0(block.scale));
  for (const std::uint16_t element : x) {
    block.codes.push_back(
        encode_element(format, ftz::mul(to_float(type, element), block.multiplier)));
  }
  return block;
}

MxOutput quantize_mx(const MxProblem& problem, unsigned threads) {
  check_shape(problem);
  const ScaleMatrix matrix = problem.scale_matrix();
  const auto cols = static_cast<std::size_t>(problem.cols);
  const auto row_bytes = static_cast<std::size_t>(
      problem.format == MxFormat::mxfp4 ? problem.cols / 2 : problem.padded_cols);
  const std::size_t block_bytes = problem.format == MxFormat::mxfp4 ? 16 : 32;
  MxOutput output{std::vector<std::uint8_t>(static_cast<std::size_t>(problem.rows) * row_bytes),
                  std::vector<std::uint8_t>(matrix.bytes())};
  parallel_rows(problem.rows, threads, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      const auto r = static_cast<std::size_t>(row);
      for (std::size_t c = 0; c < cols / kMxBlock; ++c) {
        const auto x = problem.x.subspan(r * cols + c * kMxBlock).first<kMxBlock>();
        const MxBlock block = quantize_mx_block(problem.format, x, problem.type);
        output.scales[matrix.offset(row, static_cast<std::int64_t>(c))] = block.scale;
        store_codes(problem.format, block,
                    std::span(output.data).subspan(r * row_bytes + c * block_bytes, block_bytes));
      }
    }
  });
  return output;
}

}  // namespace fourge::reference
