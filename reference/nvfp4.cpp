#include "reference/nvfp4.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

#include "reference/ftz.hpp"
#include "reference/parallel_rows.hpp"

namespace fourge::reference {
namespace {

constexpr float kOneSixth = std::bit_cast<float>(0x3E2A'AAABU);

// The block scale before it is rounded to E4M3: global_scale * maximum / 6 in the mode's order.
float unrounded_scale(float maximum, float global_scale, MathMode math) {
  if (math == MathMode::fast) {
    return ftz::mul(global_scale, ftz::mul(maximum, kOneSixth));
  }
  if (ftz::is_zero(maximum)) {
    return 0.0F;
  }
  return ftz::mul(maximum, ftz::mul(global_scale, kOneSixth));
}

// What elements are multiplied by: the reciprocal of what the block's scale decodes to.
float element_multiplier(float maximum, float scale, float global_scale, MathMode math) {
  if (ftz::is_zero(maximum)) {
    return 0.0F;
  }
  const float decoded_unit = ftz::mul(scale, ftz::rcp(global_scale));
  if (math == MathMode::exact) {
    return ftz::min(ftz::rcp(decoded_unit), ftz::kMax);
  }
  return scale == 0.0F ? 0.0F : ftz::rcp(decoded_unit);
}

}  // namespace

float magnitude_maximum(std::span<const std::uint16_t> x, ElementType type) noexcept {
  // Without the sign, both 16-bit formats order like integers, infinity last and NaN beyond.
  const unsigned infinity = type == ElementType::bf16 ? 0x7F80U : 0x7C00U;
  unsigned largest = 0;
  for (const std::uint16_t bits : x) {
    const unsigned magnitude = bits & 0x7FFFU;
    if (magnitude <= infinity) {
      largest = std::max(largest, magnitude);
    }
  }
  return to_float(type, static_cast<std::uint16_t>(largest));
}

std::array<std::uint8_t, 8> encode_elements(std::span<const std::uint16_t, kNvfp4Block> x,
                                            ElementType type, float multiplier) noexcept {
  std::array<std::uint8_t, 8> codes{};
  for (std::size_t pair = 0; pair < codes.size(); ++pair) {
    const unsigned low = encode_e2m1(ftz::mul(to_float(type, x[2 * pair]), multiplier));
    const unsigned high = encode_e2m1(ftz::mul(to_float(type, x[2 * pair + 1]), multiplier));
    codes[pair] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return codes;
}

Nvfp4Block quantize_nvfp4_block(std::span<const std::uint16_t, kNvfp4Block> x, ElementType type,
                                float global_scale, MathMode math) noexcept {
  const float maximum = magnitude_maximum(x, type);
  Nvfp4Block result;
  result.scale = encode_e4m3(unrounded_scale(maximum, global_scale, math));
  result.multiplier = element_multiplier(maximum, decode_e4m3(result.scale), global_scale, math);
  result.codes = encode_elements(x, type, result.multiplier);
  return result;
}

void check_shape(const Nvfp4Problem& problem) {
  const bool legal = problem.rows >= 0 && problem.cols > 0 && problem.cols % kNvfp4Block == 0 &&
                     problem.x.size() == static_cast<std::size_t>(problem.rows) *
                                             static_cast<std::size_t>(problem.cols);
  if (!legal) {
    throw std::invalid_argument(
        "NVFP4 needs rows >= 0, columns a positive multiple of 16 and rows * columns elements; "
        "got " +
        std::to_string(problem.rows) + " x " + std::to_string(problem.cols) + " and " +
        std::to_string(problem.x.size()) + " elements");
  }
}

Nvfp4Output make_output(const Nvfp4Problem& problem) {
  check_shape(problem);
  return {std::vector<std::uint8_t>(problem.x.size() / 2),
          std::vector<std::uint8_t>(problem.scale_matrix().bytes())};
}

std::span<const std::uint16_t, kNvfp4Block> block_of(const Nvfp4Problem& problem, std::int64_t row,
                                                     std::int64_t block) {
  const auto begin = static_cast<std::size_t>(row * problem.cols + block * kNvfp4Block);
  return problem.x.subspan(begin).first<kNvfp4Block>();
}

void store_block(const Nvfp4Problem& problem, std::int64_t row, std::int64_t block,
                 const Nvfp4Block& result, Nvfp4Output& output) {
  output.scales[problem.scale_matrix().offset(row, block)] = result.scale;
  std::copy(result.codes.begin(), result.codes.end(),
            output.codes.begin() + (row * problem.cols + block * kNvfp4Block) / 2);
}

Nvfp4Output quantize_nvfp4(const Nvfp4Problem& problem, unsigned threads) {
  Nvfp4Output output = make_output(problem);
  parallel_rows(problem.rows, threads, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      for (std::int64_t block = 0; block < problem.cols / kNvfp4Block; ++block) {
        const Nvfp4Block result = quantize_nvfp4_block(block_of(problem, row, block), problem.type,
                                                       problem.global_scale, problem.math);
        store_block(problem, row, block, result, output);
      }
    }
  });
  return output;
}

}  // namespace fourge::reference
