#include "tools/bench/bench_ops.hpp"

#include "jit/axis_value.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fourge/amax.hpp>
#include <fourge/dequantize.hpp>
#include <fourge/error.hpp>
#include <fourge/fp8_quantize.hpp>
#include <fourge/mx_quantize.hpp>
#include <fourge/nvfp4_activation_quantize.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/nvfp4_quantize_per_token.hpp>
#include <fourge/scale_interleave.hpp>

namespace fourge::tools {
namespace {

// For elements of about one: 448 * 6 / 3. Those of 8 bits are 128 times as large.
constexpr float kGlobalScale = 896.0F;

float global_scale_of(const KernelSpec& spec) {
  const float scale = jit::axis_value(spec, "in") == "e4m3" ? kGlobalScale / 128 : kGlobalScale;
  return jit::axis_value(spec, "scale").ends_with("_inv") ? 1 / scale : scale;
}

bool needs_row_scales(const KernelSpec& spec, std::string_view buffer) {
  return buffer == "global_scale" && jit::axis_value(spec, "scale").starts_with("row");
}

template <class Args>
void fill_matrix(const KernelSpec& spec, const MatrixShape& shape, void* pointer) {
  auto args = Args{};
  args.rows = shape.rows;
  args.cols = shape.cols;
  if constexpr (requires { args.global_scale_value; }) {
    args.global_scale_value = global_scale_of(spec);
  }
  if constexpr (requires { args.padded_cols; }) {
    args.padded_cols = shape.cols;
  }
  std::memcpy(pointer, &args, sizeof(Args));
}

void fill_global_scale(const KernelSpec&, const MatrixShape& shape, void* pointer) {
  GlobalScaleArgs args;
  args.elements = shape.rows * shape.cols;
  std::memcpy(pointer, &args, sizeof(args));
}

template <class Args>
void fill_scales(const KernelSpec&, const MatrixShape& shape, void* pointer) {
  Args args;
  args.rows = shape.rows;
  args.columns = shape.cols / 16;
  std::memcpy(pointer, &args, sizeof(args));
}

// Every combination of "name=value" lists, each list separated by '|'.
std::vector<std::string> cross(const std::vector<std::string>& axes) {
  std::vector<std::string> result = {""};
  for (const std::string& axis : axes) {
    const std::size_t equals = axis.find('=');
    std::vector<std::string> next;
    for (const std::string& before : result) {
      std::size_t at = equals + 1;
      while (at <= axis.size()) {
        const std::size_t end = std::min(axis.find('|', at), axis.size());
        next.push_back(fmt::format("{}{}{}={}", before, before.empty() ? "" : ",",
                                   axis.substr(0, equals), axis.substr(at, end - at)));
        at = end + 1;
      }
    }
    result = std::move(next);
  }
  return result;
}

std::vector<std::string> both(std::vector<std::string> first,
                              const std::vector<std::string>& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}

const std::vector<BenchOp>& table() {
  static const std::vector<BenchOp> kTable = {
      {.op = Nvfp4QuantizeArgs::kOp,
       .variants = both(cross({"layout=linear|128x4|8x4", "math=exact|fast", "tpc=1|2|4"}),
                        cross({"layout=linear|128x4|8x4", "tpc=1|2|4", "4over6=mae448"})),
       .fill = fill_matrix<Nvfp4QuantizeArgs>,
       .unused = {"global_scale"},
       .needs = needs_row_scales},
      {Nvfp4QuantizePerTokenArgs::kOp,
       cross({"layout=linear|128x4", "row=registers|registers2|registers1|copied|cluster|looped",
              "4over6=off|mae448"}),
       fill_matrix<Nvfp4QuantizePerTokenArgs>,
       {"row_map"}},
      {SiluAndMulNvfp4QuantizeArgs::kOp,
       cross({"layout=linear|128x4", "math=exact|fast"}),
       fill_matrix<SiluAndMulNvfp4QuantizeArgs>,
       {"global_scale"}},
      {Mxfp4QuantizeArgs::kOp,
       cross({"layout=linear|128x4", "tpc=1|2|4"}),
       fill_matrix<Mxfp4QuantizeArgs>,
       {}},
      {Mxfp8QuantizeArgs::kOp,
       cross({"layout=linear|128x4", "tpc=1|2|4"}),
       fill_matrix<Mxfp8QuantizeArgs>,
       {}},
      {Fp8Quantize1x128Args::kOp, {""}, fill_matrix<Fp8Quantize1x128Args>, {}},
      {Fp8Quantize128x128Args::kOp, {""}, fill_matrix<Fp8Quantize128x128Args>, {}},
      {RowAmaxArgs::kOp, {""}, fill_matrix<RowAmaxArgs>, {"row_map"}},
      {GlobalScaleArgs::kOp, {""}, fill_global_scale, {}},
      {.op = Nvfp4DequantizeArgs::kOp,
       .variants = cross({"layout=linear|128x4", "out=bf16"}),
       .fill = fill_matrix<Nvfp4DequantizeArgs>,
       .unused = {"global_scale"},
       .needs = needs_row_scales},
      {Mxfp4DequantizeArgs::kOp,
       cross({"layout=linear|128x4", "out=bf16"}),
       fill_matrix<Mxfp4DequantizeArgs>,
       {}},
      {Mxfp8DequantizeArgs::kOp,
       cross({"layout=linear|128x4", "out=bf16"}),
       fill_matrix<Mxfp8DequantizeArgs>,
       {}},
      {ScaleInterleaveArgs::kOp, {"layout=128x4"}, fill_scales<ScaleInterleaveArgs>, {}},
      {ScaleDeinterleaveArgs::kOp, {"layout=128x4"}, fill_scales<ScaleDeinterleaveArgs>, {}}};
  return kTable;
}

// Sums of four uniform numbers, around zero.
class Numbers {
 public:
  float next() {
    float sum = -2.0F;
    for (int i = 0; i < 4; ++i) {
      state_ = state_ * 6364136223846793005U + 1442695040888963407U;
      sum += static_cast<float>(state_ >> 40) * 0x1p-24F;
    }
    return sum;
  }
  std::uint64_t bits() {
    next();
    return state_ >> 24;
  }

 private:
  std::uint64_t state_ = 0x9e3779b97f4a7c15U;
};

std::uint16_t half_bits(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t exponent = (bits >> 23) & 0xFFU;
  if (exponent < 113) return static_cast<std::uint16_t>(sign);  // below the normal halves
  return static_cast<std::uint16_t>(sign | ((exponent - 112) << 10) | ((bits >> 13) & 0x3FFU));
}

// The type of a buffer's numbers.
std::string_view number_type(const KernelSpec& spec, std::string_view buffer) {
  if (buffer == "weights") return spec.get("weights");
  if (buffer == "bias") return "f32";
  if (const auto in = jit::axis_value(spec, "in"); !in.empty()) return in;
  return jit::axis_value(spec, "bits") == "16" ? "bf16" : "e4m3";
}

bool is_numbers(std::string_view buffer) {
  constexpr std::string_view kNames[] = {"x",    "logits", "residual", "weight",
                                         "bias", "shared", "weights"};
  return std::find(std::begin(kNames), std::end(kNames), buffer) != std::end(kNames);
}

void put_number(std::string_view type, float value, std::vector<std::uint8_t>& bytes) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  std::size_t size = 2;
  if (type == "f32") {
    size = 4;
  } else if (type == "f16") {
    bits = half_bits(value);
  } else if (type == "e4m3") {
    const std::uint32_t half = half_bits(value * (128.0F / 256));  // about 75 in size
    bits = ((half >> 8) & 0x80U) | ((half >> 7) & 0x7FU);
    size = 1;
  } else {
    bits >>= 16;
  }
  for (std::size_t i = 0; i < size; ++i) {
    bytes.push_back(static_cast<std::uint8_t>(bits >> (8 * i)));
  }
}

}  // namespace

MatrixShape parse_shape(const std::string& text) {
  MatrixShape shape;
  char x = 0;
  int end = 0;
  if (std::sscanf(text.c_str(), "%ld%c%ld%n", &shape.rows, &x, &shape.cols, &end) != 3 ||
      x != 'x' || static_cast<std::size_t>(end) != text.size() || shape.rows <= 0 ||
      shape.cols <= 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("\"{}\" is not a shape; expected ROWSxCOLS, as 1024x7168", text));
  }
  return shape;
}

std::vector<MatrixShape> parse_shapes(const std::string& text) {
  std::vector<MatrixShape> shapes;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    shapes.push_back(parse_shape(text.substr(at, end - at)));
    at = end + 1;
  }
  return shapes;
}

std::span<const BenchOp> bench_ops() {
  static const std::vector<BenchOp> kAll = [] {
    std::vector<BenchOp> all = table();
    all.insert(all.end(), bench_moe_ops().begin(), bench_moe_ops().end());
    return all;
  }();
  return kAll;
}

std::string first_of_automatic(std::string text) {
  if (const std::size_t at = text.find(kAutomatic); at != std::string::npos) {
    text.replace(at, kAutomatic.size(), "tpc=1");
  }
  return text;
}

std::vector<std::string> bench_variants(const BenchOp& op, const Target& target) {
  const auto is_taken = [&](const std::string& text) {
    try {
      KernelSpec::parse(first_of_automatic(text), target);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::invalid_spec) throw;
      return false;
    }
    return true;
  };
  std::vector<std::string> taken;
  for (const std::string& axes : op.variants) {
    std::string text = fmt::format("{}[{}]", op.op, axes);
    if (is_taken(text)) taken.push_back(std::move(text));
  }
  return taken;
}

const BenchOp& find_bench_op(std::string_view name) {
  std::vector<std::string_view> known{"moe"};
  for (const BenchOp& op : bench_ops()) {
    if (op.op == name) return op;
    known.push_back(op.op);
  }
  throw Error(ErrorKind::invalid_argument,
              fmt::format("there is no benchmark of \"{}\"; there is one of {}", name,
                          fmt::join(known, ", ")));
}

std::string bench_content_kind(const KernelSpec& spec, std::string_view buffer) {
  if (is_numbers(buffer)) return std::string(number_type(spec, buffer));
  if (buffer == "x_scales") return "factors";
  if (buffer == "global_scale") return fmt::format("near {}", global_scale_of(spec));
  if (buffer == "scales" || buffer == "linear" || buffer == "tiled") {
    return spec.op().name.starts_with("mx") ? "ue8m0" : "e4m3 scales";
  }
  return buffer == "data" ? "e4m3 codes" : "bits";
}

std::vector<std::uint8_t> bench_content(const KernelSpec& spec, std::string_view buffer,
                                        std::size_t bytes) {
  Numbers numbers;
  const std::string kind = bench_content_kind(spec, buffer);
  std::vector<std::uint8_t> content;
  content.reserve(bytes + 4);
  const auto fill = [&](const auto& next) {
    while (content.size() < bytes) next();
  };
  const auto put_bits = [&](std::uint64_t bits) {
    content.push_back(static_cast<std::uint8_t>(bits));
  };
  if (is_numbers(buffer)) {
    fill([&] { put_number(kind, numbers.next(), content); });
  } else if (kind == "factors") {
    fill([&] { put_number("f32", 0.01F + 0.001F * numbers.next(), content); });
  } else if (buffer == "global_scale") {
    const float about = global_scale_of(spec);
    fill([&] { put_number("f32", about * (1 + 0.01F * numbers.next()), content); });
  } else if (kind == "ue8m0" || kind == "e4m3 scales") {
    // Powers around one as UE8M0 (127) and ordinary numbers as E4M3.
    const unsigned first = kind == "ue8m0" ? 120 : 0x30;
    fill([&] { put_bits(first + numbers.bits() % 16); });
  } else if (kind == "e4m3 codes") {
    fill([&] { put_bits(numbers.bits() & 0xBFU); });  // without NaN
  } else {
    fill([&] { put_bits(numbers.bits()); });
  }
  content.resize(bytes);
  return content;
}

}  // namespace fourge::tools
