#include "tests/ops/cases/rmsnorm_cases.hpp"

#include <fourge/rmsnorm_quantize.hpp>

#include "tests/ops/cases/norm_expected.hpp"
#include "tests/support/patterns.hpp"
#include "tests/support/value_quantizer.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace fourge::tests {
namespace {

using Elements = std::vector<std::uint16_t>;

struct Shape {
  std::int64_t rows;
  std::int64_t cols;
};

struct Input {
  Shape shape;
  Elements x;
  Elements residual;  // empty without
  Elements weight;
  bool norm_out = false;
  bool scale_in_memory = false;
};

OpCall make_call(const KernelSpec& spec, const Input& input, std::string label) {
  const NormExpected expected = expect_norm(
      spec, {input.shape.rows, input.shape.cols, input.x, input.residual, input.weight});
  const bool adds = !input.residual.empty();
  const bool per_token = spec.get("scale") == "token";
  const std::vector<float> scale{expected.scale};
  OpCall call{
      spec,
      std::move(label),
      {input_buffer("x", input.x), input_buffer("residual", input.residual),
       input_buffer("weight", input.weight), output_buffer("q", expected.q),
       output_buffer("scales", expected.scales),
       output_buffer("token_scales", per_token ? expected.token_scales : std::vector<float>{}),
       output_buffer("residual_out", adds ? expected.residual_out : Elements{}),
       output_buffer("norm_out", input.norm_out ? expected.norm_out : Elements{}),
       input_buffer("scale", scale)},
      {},
      {}};
  const bool in_memory = input.scale_in_memory && !per_token;
  const bool norm_out = input.norm_out;
  const Shape shape = input.shape;
  const float value = expected.scale;
  const float eps = expected.eps;
  call.args = [=](std::span<std::uint8_t* const> at) {
    RmsnormQuantizeArgs args;
    args.x = at[0];
    args.residual = adds ? at[1] : nullptr;
    args.weight = at[2];
    args.q = at[3];
    args.scales = at[4];
    args.token_scales = reinterpret_cast<float*>(at[5]);
    args.residual_out = adds ? at[6] : nullptr;
    args.norm_out = norm_out ? at[7] : nullptr;
    args.scale = in_memory ? reinterpret_cast<const float*>(at[8]) : nullptr;
    args.scale_value = in_memory ? 1.0F : value;
    args.eps = eps;
    args.rows = shape.rows;
    args.cols = shape.cols;
    return args_bytes(args);
  };
  return call;
}

constexpr Shape kSmall[] = {{0, 64}, {1, 32},  {1, 64},   {3, 96},   {129, 64},
                            {9, 80}, {5, 528}, {2, 1040}, {2, 2880}, {1, 7168}};
// A row of more than 256 units is read in rounds.
constexpr Shape kLong[] = {{1, 8192}, {2, 8224}, {1, 16896}, {9, 8736}};
constexpr Shape kLarge[] = {{1024, 64},   {129, 80},   {2, 128},    {127, 1024},  {127, 1536},
                            {129, 2048},  {128, 2880}, {513, 4096}, {1024, 5120}, {1, 7168},
                            {1000, 7168}, {129, 8192}, {64, 16384}, {33, 32768},  {3, 99968},
                            {300, 23040}, {300, 23056}};

}  // namespace

void visit_rmsnorm_quantize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  const std::int64_t exact_cols = rmsnorm_quantize_columns(spec);
  const std::int64_t most_cols = rmsnorm_quantize_most_columns(spec);
  const auto type = value_quantizer_of(spec).type;
  const bool adds = spec.get("residual") == "add";
  std::uint64_t seed = 700;
  const auto visit = [&](const Shape& shape, Pattern pattern) {
    if ((spec.get("out") == "mxfp8" && shape.cols % 32 != 0) ||
        (most_cols != 0 && shape.cols > most_cols)) {
      return;
    }
    ++seed;
    Input input{shape,
                make_input(pattern, type, shape.rows, shape.cols, seed),
                {},
                {},
                seed % 2 == 0,
                seed % 3 == 0};
    if (adds) {
      input.residual = make_input(pattern == Pattern::specials ? Pattern::random : pattern, type,
                                  shape.rows, shape.cols, seed + 5000);
    }
    input.weight = make_input(Pattern::random, type, 1, shape.cols, seed + 9000);
    sink(make_call(
        spec, input,
        std::to_string(shape.rows) + "x" + std::to_string(shape.cols) + " " + to_string(pattern)));
  };
  if (exact_cols != 0) {
    // Rows of one length only. Zeros, NaN and saturated scales take another way than numbers do.
    for (const Pattern pattern : all_patterns()) {
      visit({size == CallSize::large ? 129 : 3, exact_cols}, pattern);
    }
    visit({1, exact_cols}, Pattern::random);
    // More than the 28 CTAs at most in which rows that are copied are taken on the host, so that a CTA has several.
    visit({37, exact_cols}, Pattern::random);
    if (size == CallSize::large) {
      visit({1000, exact_cols}, Pattern::random);
    }
    return;
  }
  if (size == CallSize::large) {
    for (const Shape& shape : kLarge) {
      visit(shape, Pattern::random);
    }
    return;
  }
  for (const Pattern pattern : all_patterns()) {
    for (const Shape& shape : kSmall) {
      if (pattern == Pattern::random || shape.cols <= 1040) {
        visit(shape, pattern);
      }
    }
  }
  for (const Shape& shape : kLong) {
    visit(shape, Pattern::random);
  }
}

}  // namespace fourge::tests
