#include "reference/moe_swiglu.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "reference/formats.hpp"
#include "reference/ftz.hpp"
#include "reference/silu.hpp"

namespace fourge::reference {
namespace {

constexpr std::int64_t kBlock = 128;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

void quantize_block(const std::array<float, kBlock>& o, std::span<std::uint8_t> y, float& scale) {
  float largest = 0;
  for (const float value : o) {
    largest = std::fmax(largest, std::fabs(value));
  }
  scale = std::fmax(ftz::div(largest, 448.0F), std::numeric_limits<float>::min());
  for (std::size_t i = 0; i < o.size(); ++i) {
    y[i] = encode_e4m3(ftz::div(o[i], scale));
  }
}

}  // namespace

float swiglu(float linear, float gate, const Swiglu& form) noexcept {
  if (!form.clamped) {
    return ftz::mul(linear, silu(gate));
  }
  const float g = gate > form.limit ? form.limit : gate;
  const float low = linear < -form.limit ? -form.limit : linear;
  const float l = low > form.limit ? form.limit : low;
  return ftz::mul(swish(g, ftz::mul(form.alpha, g)), ftz::add(l, form.beta));
}

void moe_swiglu_fp8_block(const MoeSwigluProblem& problem, std::span<const std::int64_t> rows,
                          std::span<std::uint8_t> y, std::span<float> y_scales) {
  const std::int64_t cols = problem.cols;
  for (const std::int64_t row : rows) {
    const auto element = [&](std::int64_t column) {
      const float scale = problem.x_scales[index(column / kBlock * problem.stride + row)];
      return ftz::mul(scale, decode_e4m3(problem.x[index(row * 2 * cols + column)]));
    };
    for (std::int64_t first = 0; first < cols; first += kBlock) {
      std::array<float, kBlock> o{};
      for (std::int64_t i = 0; i < kBlock; ++i) {
        const float a = element(first + i);
        const float b = element(cols + first + i);
        o[index(i)] =
            problem.form.gate_first ? swiglu(b, a, problem.form) : swiglu(a, b, problem.form);
      }
      quantize_block(o, y.subspan(index(row * cols + first), kBlock),
                     y_scales[index(first / kBlock * problem.stride + row)]);
    }
  }
}

}  // namespace fourge::reference
