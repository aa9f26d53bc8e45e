#include "tests/ops/cases/nvfp4_quantize_cases.hpp"

#include <fourge/nvfp4_quantize.hpp>

#include "reference/ftz.hpp"
#include "reference/nvfp4_quantize.hpp"
#include "tests/ops/cases/matrix_shapes.hpp"
#include "tests/support/four_over_six.hpp"
#include "tests/support/near_choice.hpp"
#include "tests/support/patterns.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <random>
#include <utility>

namespace fourge::tests {
namespace {

using reference::ElementType;
using reference::Nvfp4Output;
using reference::QuantizeInput;
using reference::QuantizeProblem;
using reference::ScaleForm;

// The inputs live as long as the problem that looks at them.
struct Owned {
  std::vector<std::uint16_t> x;
  std::vector<std::uint8_t> x_8;
  std::vector<float> scales;
  QuantizeProblem problem;
  Nvfp4Output expected;
};
using Shared = std::shared_ptr<Owned>;

struct Shape {
  std::int64_t batches;
  std::int64_t rows;
  std::int64_t cols;
};

ScaleForm form_of(const KernelSpec& spec) {
  const auto text = spec.get("scale");
  return text == "tensor"       ? ScaleForm::tensor
         : text == "row"        ? ScaleForm::row
         : text == "tensor_inv" ? ScaleForm::tensor_inverse
                                : ScaleForm::row_inverse;
}

bool per_row(ScaleForm form) { return form == ScaleForm::row || form == ScaleForm::row_inverse; }

// The usual encode scale for values up to `maximum`: range * 6 / maximum, finite and positive.
float encode_scale(float maximum, float range) {
  namespace ftz = reference::ftz;
  const float scale = ftz::min(ftz::div(ftz::mul(range, 6.0F), maximum), ftz::kMax);
  return scale == 0.0F ? 1.0F : scale;
}

// As the caller hands it over: 1/G for the inverse forms, kept where 1/G has a reciprocal.
float given_scale(float scale, ScaleForm form) {
  const bool inverse = form == ScaleForm::tensor_inverse || form == ScaleForm::row_inverse;
  return inverse ? std::clamp(reference::ftz::rcp(scale), 0x1p-126F, 0x1p126F) : scale;
}

float largest(const Owned& owned, std::size_t first, std::size_t count) {
  if (owned.problem.input != QuantizeInput::e4m3) {
    const auto type =
        owned.problem.input == QuantizeInput::bf16 ? ElementType::bf16 : ElementType::f16;
    return reference::magnitude_maximum(std::span(owned.x).subspan(first, count), type);
  }
  float maximum = 0;
  for (const std::uint8_t byte : std::span(owned.x_8).subspan(first, count)) {
    const float value = reference::decode_e4m3(byte & 0x7FU);
    maximum = value > maximum ? value : maximum;  // false for NaN
  }
  return maximum;
}

// A row's scale is made from that row of the first batch, so that other batches saturate here and
// there.
void choose_scales(Owned& owned) {
  const QuantizeProblem& problem = owned.problem;
  const float range =
      problem.four_over_six ? static_cast<float>(problem.four_over_six->e4m3_max) : 448.0F;
  if (!per_row(problem.form)) {
    const float maximum = largest(owned, 0, std::max(owned.x.size(), owned.x_8.size()));
    owned.scales = {given_scale(encode_scale(maximum, range), problem.form)};
    return;
  }
  const auto cols = static_cast<std::size_t>(problem.cols);
  for (std::size_t row = 0; row < static_cast<std::size_t>(problem.rows); ++row) {
    const float maximum = problem.batches == 0 ? 1.0F : largest(owned, row * cols, cols);
    owned.scales.push_back(given_scale(encode_scale(maximum, range), problem.form));
  }
}

// E4M3 input for a pattern: its values rounded, except for the hostile ones, which are any bytes.
std::vector<std::uint8_t> make_bytes(Pattern pattern, std::int64_t rows, std::int64_t cols,
                                     std::uint64_t seed) {
  const auto wide = make_input(pattern, ElementType::bf16, rows, cols, seed);
  std::vector<std::uint8_t> bytes(wide.size());
  std::mt19937_64 random(seed);
  std::transform(wide.begin(), wide.end(), bytes.begin(), [&](std::uint16_t bits) {
    return pattern == Pattern::specials ? static_cast<std::uint8_t>(random())
           : pattern == Pattern::subnormals
               ? static_cast<std::uint8_t>(random() & 0x8FU)
               : reference::encode_e4m3(reference::bf16_to_float(bits));
  });
  return bytes;
}

Shared empty_problem(const KernelSpec& spec, const Shape& shape) {
  auto owned = std::make_shared<Owned>();
  QuantizeProblem& problem = owned->problem;
  problem.input = spec.get("in") == "bf16"  ? QuantizeInput::bf16
                  : spec.get("in") == "f16" ? QuantizeInput::f16
                                            : QuantizeInput::e4m3;
  problem.batches = shape.batches;
  problem.rows = shape.rows;
  problem.cols = shape.cols;
  problem.form = form_of(spec);
  problem.math =
      spec.get("math") == "exact" ? reference::MathMode::exact : reference::MathMode::fast;
  problem.four_over_six = four_over_six_of(spec);
  problem.layout = reference::parse_scale_layout(spec.get("layout"));
  return owned;
}

void solve(Owned& owned) {
  owned.problem.x = owned.x;
  owned.problem.x_8 = owned.x_8;
  owned.problem.scales = owned.scales;
  owned.expected = reference::quantize(owned.problem, 4);
}

Shared pattern_problem(const KernelSpec& spec, const Shape& shape, Pattern pattern,
                       std::uint64_t seed) {
  auto owned = empty_problem(spec, shape);
  const std::int64_t rows = shape.batches * shape.rows;
  if (owned->problem.input == QuantizeInput::e4m3) {
    owned->x_8 = make_bytes(pattern, rows, shape.cols, seed);
  } else {
    const auto type =
        owned->problem.input == QuantizeInput::bf16 ? ElementType::bf16 : ElementType::f16;
    owned->x = make_input(pattern, type, rows, shape.cols, seed);
  }
  choose_scales(*owned);
  solve(*owned);
  return owned;
}

// Blocks whose two encodings are about equally good; see near_choice.hpp.
Shared near_choice_problem(const KernelSpec& spec, std::uint64_t seed) {
  const Shape shape{1, 96, 512};
  auto owned = empty_problem(spec, shape);
  const auto type =
      owned->problem.input == QuantizeInput::bf16 ? ElementType::bf16 : ElementType::f16;
  const auto scales = near_choice_scales(shape.rows);
  owned->x = near_choice_input(type, shape.rows, shape.cols, seed);
  for (const float scale : per_row(owned->problem.form) ? scales : std::span(scales).first(1)) {
    owned->scales.push_back(given_scale(scale, owned->problem.form));
  }
  solve(*owned);
  return owned;
}

OpCall make_call(const KernelSpec& spec, const Shared& owned, std::string label,
                 bool scale_in_memory) {
  const QuantizeProblem& problem = owned->problem;
  const bool in_memory = scale_in_memory || per_row(problem.form);
  OpCall call{spec, std::move(label), {}, {}, {}};
  call.buffers.push_back(problem.input == QuantizeInput::e4m3
                             ? input_buffer<std::uint8_t>("x", owned->x_8)
                             : input_buffer<std::uint16_t>("x", owned->x));
  call.buffers.push_back(output_buffer("codes", owned->expected.codes));
  call.buffers.push_back(output_buffer("scales", owned->expected.scales));
  call.buffers.push_back(input_buffer("global_scale", owned->scales));
  call.args = [owned, in_memory](std::span<std::uint8_t* const> at) {
    Nvfp4QuantizeArgs args;
    args.x = at[0];
    args.codes = at[1];
    args.scales = at[2];
    args.global_scale = in_memory ? reinterpret_cast<const float*>(at[3]) : nullptr;
    args.global_scale_value = in_memory ? 1.0F : owned->scales.at(0);
    args.rows = owned->problem.rows;
    args.cols = owned->problem.cols;
    args.batches = owned->problem.batches;
    return args_bytes(args);
  };
  if (problem.math == reference::MathMode::fast) {
    call.excused = std::make_shared<Excused>();
    call.judge = [owned, excused = call.excused](std::span<const std::vector<std::uint8_t>> found) {
      const auto report = reference::compare(owned->problem, owned->expected, {found[1], found[2]});
      excused->codes += report.excused_codes;
      excused->blocks += report.excused_blocks;
      return report.first;
    };
  }
  return call;
}

constexpr Shape kSmall[] = {{1, 0, 64},   {0, 5, 64},  {1, 1, 16},    {1, 3, 64},   {3, 17, 208},
                            {1, 120, 64}, {2, 9, 144}, {1, 129, 256}, {1, 1, 7168}, {5, 1, 80}};
// The last two have more batches, and more groups of rows, than the grid's z and y.
constexpr Shape kLarge[] = {
    {1, 1000, 7168}, {1, 4096, 4096}, {3, 333, 1040}, {70'000, 1, 32}, {2, 600'000, 16}};

}  // namespace

void visit_nvfp4_quantize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  std::uint64_t seed = 42;
  const auto visit = [&](const Shape& shape, Pattern pattern) {
    const auto owned = pattern_problem(spec, shape, pattern, ++seed);
    sink(make_call(spec, owned,
                   std::to_string(shape.batches) + "x" + std::to_string(shape.rows) + "x" +
                       std::to_string(shape.cols) + " " + to_string(pattern),
                   seed % 2 == 0));
  };
  if (size == CallSize::large) {
    for (const Shape& shape : kLarge) {
      visit(shape, Pattern::random);
    }
    return;
  }
  if (size == CallSize::matrix || size == CallSize::matrix_small) {
    for (const MatrixShape& shape : matrix_shapes(size)) {
      for (const Pattern pattern : kMatrixPatterns) {
        visit({1, shape.rows, shape.cols}, pattern);
      }
    }
    return;
  }
  for (const Shape& shape : kSmall) {
    for (const Pattern pattern : all_patterns()) {
      visit(shape, pattern);
    }
  }
  if (spec.get("4over6") != "off") {
    sink(make_call(spec, near_choice_problem(spec, ++seed), "near choices", true));
  }
}

}  // namespace fourge::tests
