// dequantize(quantize(x)) stays within the formats' error bounds, over random shapes, layouts and
// scales: the references by themselves.
#include <cmath>
#include <random>

#include "reference/amax.hpp"
#include "reference/ftz.hpp"
#include "reference/mx.hpp"
#include "reference/nvfp4_quantize.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/error_bounds.hpp"

using namespace fourge::reference;
using fourge::tests::find_violation;
using fourge::tests::make_scaled_input;
using fourge::tests::RoundTrip;

namespace {

class Choice {
 public:
  explicit Choice(std::uint64_t seed) : random_(seed) {}
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool coin() { return between(0, 1) == 1; }

 private:
  std::mt19937_64 random_;
};

constexpr ScaleLayout kLayouts[] = {ScaleLayout::linear, ScaleLayout::tiled_128x4,
                                    ScaleLayout::tiled_8x4};
constexpr FloatType kOutputs[] = {FloatType::f32, FloatType::bf16, FloatType::f16};

ElementType choose_type(Choice& choice) {
  return choice.coin() ? ElementType::bf16 : ElementType::f16;
}

// The values after the rounding to the output type.
std::vector<float> rounded(std::vector<float> values, FloatType type) {
  for (float& value : values) {
    if (type == FloatType::bf16) {
      value = bf16_to_float(float_to_bf16(value));
    } else if (type == FloatType::f16) {
      value = f16_to_float(float_to_f16(value));
    }
  }
  return values;
}

void check_round_trip(RoundTrip trip, std::span<const std::uint8_t> codes,
                      std::span<const float> decode_scales) {
  DequantizeProblem problem;
  problem.format = trip.format;
  problem.codes = codes;
  problem.scales = trip.scales;
  problem.batches = trip.batches;
  problem.rows = trip.rows;
  problem.cols = trip.cols;
  problem.padded_cols = trip.padded_cols;
  problem.layout = trip.layout;
  problem.decode_scales = decode_scales;
  const auto values = dequantize(problem);
  // Into f16 only what it holds.
  const bool fits = largest_magnitude(values) <= 65504.0F;
  for (const FloatType out : kOutputs) {
    if (out == FloatType::f16 && !fits) {
      continue;
    }
    const auto restored = rounded(values, out);
    trip.out = out;
    trip.restored = restored;
    INFO(find_violation(trip));
    CHECK(find_violation(trip).empty());
  }
}

void nvfp4_round_trip(std::uint64_t seed) {
  Choice choice(seed);
  const ElementType type = choose_type(choice);
  QuantizeProblem problem;
  problem.input = type == ElementType::bf16 ? QuantizeInput::bf16 : QuantizeInput::f16;
  problem.batches = choice.between(1, 3);
  problem.rows = choice.between(1, 40);
  problem.cols = 16 * choice.between(1, 20);
  problem.layout = kLayouts[choice.between(0, 2)];
  problem.form = choice.coin() ? ScaleForm::tensor : ScaleForm::row;
  problem.math = choice.coin() ? MathMode::exact : MathMode::fast;
  if (choice.coin()) {
    problem.four_over_six =
        FourOverSix{choice.coin() ? ErrorMetric::mae : ErrorMetric::mse, choice.coin() ? 448 : 256,
                    choice.coin() ? ErrorMath::strict : ErrorMath::fast};
  }
  const auto x = make_scaled_input(type, problem.batches * problem.rows, problem.cols, seed);
  const auto values = to_floats(x, type);
  const float range =
      problem.four_over_six ? static_cast<float>(problem.four_over_six->e4m3_max) : 448.0F;
  // A row's scale covers that row of every batch only if it is made from all of them.
  std::vector<float> maxima(
      problem.form == ScaleForm::tensor ? 1 : static_cast<std::size_t>(problem.rows));
  for (std::size_t row = 0; row * static_cast<std::size_t>(problem.cols) < x.size(); ++row) {
    float& maximum = maxima[row % maxima.size()];
    const auto cols = static_cast<std::size_t>(problem.cols);
    maximum = std::fmax(maximum, largest_magnitude(std::span(values).subspan(row * cols, cols)));
  }
  std::vector<float> encode;
  std::vector<float> decode;
  for (const float maximum : maxima) {
    encode.push_back(encode_scale(maximum, range));
    decode.push_back(ftz::rcp(encode.back()));
  }
  problem.x = x;
  problem.scales = encode;
  const Nvfp4Output output = quantize(problem);
  RoundTrip trip;
  trip.four_over_six = problem.four_over_six.has_value();
  trip.layout = problem.layout;
  trip.batches = problem.batches;
  trip.rows = problem.rows;
  trip.cols = problem.cols;
  trip.padded_cols = problem.cols;
  trip.x = values;
  trip.scales = output.scales;
  trip.encode_scales = encode;
  check_round_trip(trip, output.codes, decode);
}

void mx_round_trip(std::uint64_t seed) {
  Choice choice(seed);
  const ElementType type = choose_type(choice);
  MxProblem problem;
  problem.format = choice.coin() ? MxFormat::mxfp4 : MxFormat::mxfp8;
  problem.type = type;
  problem.rows = choice.between(1, 60);
  problem.cols = 32 * choice.between(1, 12);
  problem.padded_cols =
      problem.cols + (problem.format == MxFormat::mxfp8 ? 32 * choice.between(0, 3) : 0);
  problem.layout = kLayouts[choice.between(0, 2)];
  const auto x = make_scaled_input(type, problem.rows, problem.cols, seed);
  const auto values = to_floats(x, type);
  problem.x = x;
  const MxOutput output = quantize_mx(problem);
  RoundTrip trip;
  trip.format = problem.format == MxFormat::mxfp4 ? BlockFormat::mxfp4 : BlockFormat::mxfp8;
  trip.layout = problem.layout;
  trip.rows = problem.rows;
  trip.cols = problem.cols;
  trip.padded_cols = problem.padded_cols;
  trip.x = values;
  trip.scales = output.scales;
  check_round_trip(trip, output.data, {});
}

}  // namespace

TEST_CASE("NVFP4 round trips stay within the format's error", "[round_trip]") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    INFO("seed " << seed);
    nvfp4_round_trip(seed);
  }
}

TEST_CASE("MX round trips stay within the formats' errors", "[round_trip]") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    INFO("seed " << seed);
    mx_round_trip(seed);
  }
}

TEST_CASE("the error bounds are bounds that a wrong result breaks", "[round_trip]") {
  const std::vector<float> x{6.0F, 5.0F, 0.3F, -1.2F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  std::vector<float> restored{6.0F, 4.0F, 0.5F, -1.0F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const float encode = 448.0F;
  std::uint8_t scale = 0x7E;
  RoundTrip trip;
  trip.rows = 1;
  trip.cols = 16;
  trip.padded_cols = 16;
  trip.x = x;
  trip.scales = {&scale, 1};
  trip.encode_scales = {&encode, 1};
  trip.restored = restored;
  CHECK(find_violation(trip).empty());
  restored[2] = 0.0F;  // 0.3 is nearer to 0.5
  CHECK_FALSE(find_violation(trip).empty());
  restored[2] = 0.5F;
  restored[3] = 1.0F;
  CHECK_FALSE(find_violation(trip).empty());
  restored[3] = -1.0F;
  scale = 0x7A;
  CHECK_FALSE(find_violation(trip).empty());
  scale = 0x7E;
  restored[0] = std::nanf("");
  CHECK_FALSE(find_violation(trip).empty());
}
