#include "tests/ops/cases/dequantize_cases.hpp"

#include <fourge/dequantize.hpp>

#include "reference/dequantize.hpp"
#include "reference/ftz.hpp"

#include <random>
#include <utility>

namespace fourge::tests {
namespace {

using reference::BlockFormat;
using reference::DequantizeProblem;
using reference::FloatType;
using Bytes = std::vector<std::uint8_t>;

struct Shape {
  std::int64_t batches;
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t padded_cols;

  std::string text() const {
    return std::to_string(batches) + "x" + std::to_string(rows) + "x" + std::to_string(cols) +
           (padded_cols == cols ? "" : " padded to " + std::to_string(padded_cols));
  }
};

// As the caller hands it over: scales and how.
struct Scales {
  std::vector<float> given;
  bool in_memory;
};

// Decode scales, and encode scales, from the smallest to the largest that make a difference.
constexpr float kDecode[] = {1.0F,     1.0F / 2688.0F, 0.0F,      0x1p-120F,
                             3e38F,    0x1.8p-133F,    0.0173F,   0x1.23456p-118F,
                             0x1p120F, 1.0F / 1536.0F, 0x1p-126F, 0x1.fffffep126F};
constexpr float kEncode[] = {
    1.0F,       2688.0F, 3.4028234663852886e38F, 0x1p120F, 0x1p-125F, 0x1p126F, 1.75e-37F, 57.8F,
    0x1.8p126F, 1536.0F, 0x1.23456p99F};

Bytes random_bytes(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(count);
  for (std::uint8_t& byte : bytes) {
    byte = static_cast<std::uint8_t>(random());
  }
  return bytes;
}

bool is_inverse(const KernelSpec& spec) {
  return spec.get("scale") == "tensor_inv" || spec.get("scale") == "row_inv";
}

Scales make_scales(const KernelSpec& spec, BlockFormat format, std::int64_t rows,
                   std::uint64_t seed) {
  if (format != BlockFormat::nvfp4) {
    return {{}, false};
  }
  const std::span<const float> choice =
      is_inverse(spec) ? std::span<const float>(kEncode) : std::span<const float>(kDecode);
  if (spec.get("scale") == "tensor" || spec.get("scale") == "tensor_inv") {
    return {{choice[seed % choice.size()]}, seed % 2 == 0};
  }
  std::vector<float> given;
  for (std::int64_t row = 0; row < rows; ++row) {
    given.push_back(choice[(seed + static_cast<std::uint64_t>(row)) % choice.size()]);
  }
  return {given, true};
}

FloatType out_type(const KernelSpec& spec) {
  return spec.get("out") == "f32"    ? FloatType::f32
         : spec.get("out") == "bf16" ? FloatType::bf16
                                     : FloatType::f16;
}

std::vector<std::byte> make_args(BlockFormat format, const Shape& shape, const Scales& scales,
                                 std::span<std::uint8_t* const> at) {
  if (format == BlockFormat::mxfp4) {
    return args_bytes(Mxfp4DequantizeArgs{at[0], at[1], at[2], shape.rows, shape.cols});
  }
  if (format == BlockFormat::mxfp8) {
    return args_bytes(
        Mxfp8DequantizeArgs{at[0], at[1], at[2], shape.rows, shape.cols, shape.padded_cols});
  }
  Nvfp4DequantizeArgs args;
  args.codes = at[0];
  args.scales = at[1];
  args.out = at[2];
  args.global_scale = scales.in_memory ? reinterpret_cast<const float*>(at[3]) : nullptr;
  args.global_scale_value = scales.in_memory ? -1.0F : scales.given.at(0);
  args.rows = shape.rows;
  args.cols = shape.cols;
  args.batches = shape.batches;
  return args_bytes(args);
}

OpCall make_call(const KernelSpec& spec, BlockFormat format, const Shape& shape, const Bytes& codes,
                 const Bytes& block_scales, std::uint64_t seed, std::string label) {
  const Scales scales = make_scales(spec, format, shape.rows, seed);
  std::vector<float> decode_scales = scales.given;
  for (float& scale : decode_scales) {
    scale = is_inverse(spec) ? reference::ftz::rcp(scale) : scale;
  }
  DequantizeProblem problem;
  problem.format = format;
  problem.codes = codes;
  problem.scales = block_scales;
  problem.batches = shape.batches;
  problem.rows = shape.rows;
  problem.cols = shape.cols;
  problem.padded_cols = shape.padded_cols;
  problem.layout = reference::parse_scale_layout(spec.get("layout"));
  problem.decode_scales = decode_scales;
  OpCall call{
      spec,
      std::move(label),
      {input_buffer("codes", codes), input_buffer("scales", block_scales),
       output_buffer("out", reference::to_bytes(reference::dequantize(problem), out_type(spec))),
       input_buffer("global_scale", scales.given)},
      {},
      {}};
  call.args = [format, shape, scales](std::span<std::uint8_t* const> at) {
    return make_args(format, shape, scales, at);
  };
  return call;
}

std::size_t code_bytes(BlockFormat format, const Shape& shape) {
  const std::int64_t codes = shape.batches * shape.rows * shape.padded_cols;
  return static_cast<std::size_t>(format == BlockFormat::mxfp8 ? codes : codes / 2);
}

reference::ScaleMatrix matrix_of(const KernelSpec& spec, BlockFormat format, const Shape& shape) {
  return {reference::parse_scale_layout(spec.get("layout")), shape.rows,
          shape.padded_cols / reference::block_length(format)};
}

OpCall random_call(const KernelSpec& spec, BlockFormat format, const Shape& shape,
                   std::uint64_t seed) {
  const auto scales =
      static_cast<std::size_t>(shape.batches) * matrix_of(spec, format, shape).bytes();
  return make_call(spec, format, shape, random_bytes(code_bytes(format, shape), seed),
                   random_bytes(scales, seed + 1), seed, shape.text());
}

// Every code with every scale byte: row r has the scale byte r, and all codes in turn.
OpCall complete_call(const KernelSpec& spec, BlockFormat format, std::uint64_t seed) {
  const std::int64_t cols = format == BlockFormat::mxfp8 ? 256 : 32;
  const Shape shape{1, 256, cols, cols};
  const auto matrix = matrix_of(spec, format, shape);
  Bytes scales(matrix.bytes());
  for (std::int64_t row = 0; row < matrix.rows(); ++row) {
    for (std::int64_t col = 0; col < matrix.cols(); ++col) {
      scales[matrix.offset(row, col)] = static_cast<std::uint8_t>(row);
    }
  }
  Bytes codes(code_bytes(format, shape));
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const std::size_t low = 2 * i % 16;
    codes[i] =
        static_cast<std::uint8_t>(format == BlockFormat::mxfp8 ? i % 256 : low | (low + 1) << 4);
  }
  return make_call(spec, format, shape, codes, scales, seed,
                   "every code with every scale, " + std::to_string(seed));
}

constexpr Shape kSmall[] = {{1, 0, 64, 64},     {0, 3, 32, 32},     {1, 1, 32, 32},
                            {3, 17, 224, 256},  {1, 120, 64, 64},   {1, 129, 96, 128},
                            {2, 5, 1056, 1056}, {1, 1, 4160, 4160}, {2, 65, 32, 96}};
constexpr Shape kLarge[] = {
    {1, 1000, 7168, 7168}, {1, 70001, 64, 64}, {3, 333, 1056, 1152}, {70001, 1, 32, 32}};

Shape adapted(Shape shape, BlockFormat format) {
  if (format != BlockFormat::mxfp8) {
    shape.padded_cols = shape.cols;
  }
  if (format != BlockFormat::nvfp4) {
    shape.rows *= shape.batches;
    shape.batches = 1;
  }
  return shape;
}

void visit(const KernelSpec& spec, BlockFormat format, CallSize size, const CallSink& sink) {
  std::uint64_t seed = 300;
  if (size == CallSize::large) {
    for (const Shape& shape : kLarge) {
      sink(random_call(spec, format, adapted(shape, format), ++seed));
    }
    return;
  }
  for (const Shape& shape : kSmall) {
    sink(random_call(spec, format, adapted(shape, format), ++seed));
  }
  if (format == BlockFormat::nvfp4) {
    sink(random_call(spec, format, {1, 3, 16, 16}, ++seed));
    sink(random_call(spec, format, {2, 9, 144, 144}, ++seed));
  }
  const std::uint64_t rounds = format == BlockFormat::nvfp4 ? std::size(kDecode) : 1;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    sink(complete_call(spec, format, round));
  }
}

}  // namespace

void visit_nvfp4_dequantize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  visit(spec, BlockFormat::nvfp4, size, sink);
}

void visit_mxfp4_dequantize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  visit(spec, BlockFormat::mxfp4, size, sink);
}

void visit_mxfp8_dequantize_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  visit(spec, BlockFormat::mxfp8, size, sink);
}

}  // namespace fourge::tests
