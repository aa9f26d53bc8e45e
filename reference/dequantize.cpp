#include "reference/dequantize.hpp"

#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

#include "reference/formats.hpp"
#include "reference/ftz.hpp"
#include "reference/ue8m0.hpp"

namespace fourge::reference {
namespace {

void check(const DequantizeProblem& p) {
  const std::int64_t block = block_length(p.format);
  const bool shape = p.batches >= 0 && p.rows >= 0 && p.cols > 0 && p.cols % block == 0 &&
                     p.padded_cols >= p.cols && p.padded_cols % block == 0 &&
                     (p.format == BlockFormat::mxfp8 || p.padded_cols == p.cols);
  const std::size_t scale_count = p.decode_scales.size();
  const bool scales = scale_count <= 1 || (p.format == BlockFormat::nvfp4 &&
                                           scale_count == static_cast<std::size_t>(p.rows));
  const std::int64_t codes =
      p.batches * p.rows * p.padded_cols / (p.format == BlockFormat::mxfp8 ? 1 : 2);
  if (!shape || !scales || p.codes.size() != static_cast<std::size_t>(codes) ||
      p.scales.size() != static_cast<std::size_t>(p.batches) * p.scale_matrix().bytes()) {
    throw std::invalid_argument("dequantization: " + std::to_string(p.batches) + " x " +
                                std::to_string(p.rows) + " x " + std::to_string(p.cols) +
                                " padded to " + std::to_string(p.padded_cols) +
                                " does not go with " + std::to_string(p.codes.size()) +
                                " bytes of codes, " + std::to_string(p.scales.size()) +
                                " of scales and " + std::to_string(scale_count) + " decode scales");
  }
}

float decode_element(const DequantizeProblem& p, std::int64_t row, std::int64_t col) {
  const auto at = static_cast<std::size_t>(row * p.padded_cols + col);
  if (p.format == BlockFormat::mxfp8) {
    return decode_e4m3(p.codes[at]);
  }
  const unsigned byte = p.codes[at / 2];
  return decode_e2m1(static_cast<std::uint8_t>(at % 2 == 0 ? byte & 0xFU : byte >> 4));
}

float block_factor(const DequantizeProblem& p, std::uint8_t scale, std::int64_t row) {
  if (p.format != BlockFormat::nvfp4) {
    return decode_ue8m0(scale);
  }
  const std::size_t count = p.decode_scales.size();
  const float g = count == 0   ? 1.0F
                  : count == 1 ? p.decode_scales[0]
                               : p.decode_scales[static_cast<std::size_t>(row)];
  return ftz::mul(decode_e4m3(scale), g);
}

void append(std::vector<std::uint8_t>& bytes, std::uint32_t bits, int count) {
  for (int i = 0; i < count; ++i) {
    bytes.push_back(static_cast<std::uint8_t>(bits >> (8 * i)));
  }
}

}  // namespace

std::vector<float> dequantize(const DequantizeProblem& problem) {
  check(problem);
  const ScaleMatrix matrix = problem.scale_matrix();
  std::vector<float> out;
  out.reserve(static_cast<std::size_t>(problem.batches * problem.rows * problem.cols));
  for (std::int64_t batch = 0; batch < problem.batches; ++batch) {
    const std::size_t first = static_cast<std::size_t>(batch) * matrix.bytes();
    for (std::int64_t row = 0; row < problem.rows; ++row) {
      for (std::int64_t col = 0; col < problem.cols; ++col) {
        const std::int64_t block = col / block_length(problem.format);
        const std::uint8_t scale = problem.scales[first + matrix.offset(row, block)];
        out.push_back(ftz::mul(decode_element(problem, batch * problem.rows + row, col),
                               block_factor(problem, scale, row)));
      }
    }
  }
  return out;
}

std::vector<std::uint8_t> to_bytes(std::span<const float> values, FloatType type) {
  std::vector<std::uint8_t> bytes;
  for (const float value : values) {
    const bool nan = std::isnan(value);
    switch (type) {
      case FloatType::f32:
        append(bytes, nan ? 0x7FFF'FFFFU : std::bit_cast<std::uint32_t>(value), 4);
        break;
      case FloatType::bf16:
        append(bytes, nan ? 0x7FFFU : float_to_bf16(value), 2);
        break;
      case FloatType::f16:
        append(bytes, nan ? 0x7FFFU : float_to_f16(value), 2);
        break;
    }
  }
  return bytes;
}

}  // namespace fourge::reference
