#include "reference/quantize_values.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "reference/ftz.hpp"
#include "reference/nvfp4_per_token.hpp"
#include "reference/ue8m0.hpp"

namespace fourge::reference {
namespace {

constexpr float kOneSixth = std::bit_cast<float>(0x3E2A'AAABU);
constexpr float kOne448th = std::bit_cast<float>(0x3B12'4925U);

float largest_magnitude(std::span<const float> values) {
  float largest = 0;
  for (const float v : values) {
    if (!std::isnan(v)) {
      largest = std::fmax(largest, std::fabs(ftz::flush(v)));
    }
  }
  return largest;
}

Nvfp4Block nvfp4_block(std::span<const float> v, float global_scale) {
  const float amax = largest_magnitude(v);
  const float s = amax == 0 ? 0 : ftz::mul(amax, ftz::mul(global_scale, kOneSixth));
  Nvfp4Block block;
  block.scale = encode_e4m3(s);
  const float p = ftz::mul(decode_e4m3(block.scale), ftz::rcp(global_scale));
  block.multiplier = amax == 0 ? 0 : ftz::min(ftz::rcp(p), ftz::kMax);
  for (std::size_t i = 0; i < v.size(); ++i) {
    const unsigned code = encode_e2m1(ftz::mul(v[i], block.multiplier));
    block.codes[i / 2] = static_cast<std::uint8_t>(block.codes[i / 2] | code << (4 * (i % 2)));
  }
  return block;
}

Nvfp4Block four_over_six_block(std::span<const float> v, const ValueQuantizer& quantizer,
                               float global_scale, float row_maximum) {
  std::array<std::uint16_t, kNvfp4Block> x{};
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = from_float(quantizer.type, v[i]);
  }
  return quantize_4over6_block(x, quantizer.type, global_scale, MathMode::exact,
                               *quantizer.four_over_six, row_maximum)
      .chosen;
}

void quantize_nvfp4(std::span<const float> values, const ValueQuantizer& quantizer,
                    QuantizedRow& row) {
  float global_scale = quantizer.scale;
  float row_maximum = 0;
  if (quantizer.per_token) {
    row_maximum = largest_magnitude(values);
    const TokenScale scale = token_scale(row_maximum, quantizer.scale, MathMode::exact,
                                         quantizer.four_over_six.has_value());
    global_scale = scale.encode;
    row.token_scale = scale.decode;
  }
  for (std::size_t at = 0; at < values.size(); at += kNvfp4Block) {
    const auto v = values.subspan(at, kNvfp4Block);
    const Nvfp4Block block = quantizer.four_over_six
                                 ? four_over_six_block(v, quantizer, global_scale, row_maximum)
                                 : nvfp4_block(v, global_scale);
    row.scales.push_back(block.scale);
    row.codes.insert(row.codes.end(), block.codes.begin(), block.codes.end());
  }
}

void quantize_mxfp8(std::span<const float> values, QuantizedRow& row) {
  for (std::size_t at = 0; at < values.size(); at += 32) {
    const auto v = values.subspan(at, 32);
    const std::uint8_t scale = encode_ue8m0(ftz::mul(largest_magnitude(v), kOne448th));
    const float multiplier = scale == 0 ? 0.0F : ftz::rcp(decode_ue8m0(scale));
    for (const float value : v) {
      const float y = ftz::mul(value, multiplier);
      row.codes.push_back(encode_e4m3(std::fmax(std::fmin(y, 448.0F), -448.0F)));
    }
    row.scales.push_back(scale);
  }
}

void quantize_fp8(std::span<const float> values, const ValueQuantizer& quantizer,
                  QuantizedRow& row) {
  float scale = quantizer.scale;
  if (quantizer.per_token) {
    constexpr float kLeast = 1.0F / (512.0F * 448.0F);
    scale = std::fmax(ftz::div(largest_magnitude(values), 448.0F), kLeast);
    row.token_scale = scale;
  }
  const float multiplier = ftz::rcp(scale);
  for (const float value : values) {
    row.codes.push_back(encode_e4m3(ftz::mul(value, multiplier)));
  }
}

}  // namespace

QuantizedRow quantize_values(std::span<const float> values, const ValueQuantizer& quantizer) {
  QuantizedRow row;
  switch (quantizer.format) {
    case ValueFormat::nvfp4:
      quantize_nvfp4(values, quantizer, row);
      break;
    case ValueFormat::mxfp8:
      quantize_mxfp8(values, row);
      break;
    case ValueFormat::fp8:
      quantize_fp8(values, quantizer, row);
      break;
  }
  return row;
}

}  // namespace fourge::reference
