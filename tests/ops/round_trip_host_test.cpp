// The way of a tensor through the kernels, on the host: its scales are made on the device and stay
// there, it is quantized, its block scales are interleaved, and what the dequantizer returns is within
// the formats' errors.
#include <fourge/amax.hpp>
#include <fourge/dequantize.hpp>
#include <fourge/mx_quantize.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/nvfp4_quantize_per_token.hpp>
#include <fourge/runtime.hpp>
#include <fourge/scale_interleave.hpp>

#include "reference/amax.hpp"
#include "reference/ftz.hpp"
#include "tests/support/aligned_buffer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/error_bounds.hpp"

#include <cstring>
#include <map>
#include <random>

namespace fourge::tests {
namespace {

using reference::ElementType;
using reference::FloatType;

constexpr const char* kTypes[] = {"bf16", "f16"};
constexpr const char* kLayouts[] = {"linear", "128x4", "8x4"};
constexpr const char* kOutputs[] = {"f32", "bf16", "f16"};
constexpr const char* kTpc[] = {"1", "2", "4"};
constexpr const char* kFourOverSix[] = {"off",        "mae448",     "mse448",
                                        "mae256",     "mse256",     "mse448fast",
                                        "mae256fast", "mae448fast", "mse256fast"};
constexpr std::uint64_t kTrips = 60;

// Where NVFP4's global scales come from: one of the tensor, one a row made beforehand, or made by the
// quantizer itself.
enum class Scaling { tensor, row, token };

// What a trip draws from its seed. Few enough combinations occur that kernels are shared.
struct Trip {
  explicit Trip(std::uint64_t trip_seed) : seed(trip_seed), random(trip_seed) {
    in = kTypes[seed % 2];
    layout = kLayouts[seed % 3];
    out = kOutputs[(seed / 3) % 3];
    tpc = kTpc[(seed / 2) % 3];
    four_over_six = kFourOverSix[seed % std::size(kFourOverSix)];
    scaling = static_cast<Scaling>((seed / 4) % 3);
    batches = scaling == Scaling::tensor ? between(1, 3) : 1;
    rows = between(1, 40);
    blocks = between(1, 12);
    padding = between(0, 2);
  }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
  }
  ElementType type() const { return in == "bf16" ? ElementType::bf16 : ElementType::f16; }
  FloatType output() const {
    return out == "f32" ? FloatType::f32 : out == "bf16" ? FloatType::bf16 : FloatType::f16;
  }
  std::size_t output_bytes() const { return out == "f32" ? 4 : 2; }
  bool range_256() const { return four_over_six.find("256") != std::string::npos; }
  float inverse_range() const { return 1.0F / (range_256() ? 1536.0F : 2688.0F); }

  std::uint64_t seed;
  std::mt19937_64 random;
  std::string in, layout, out, tpc, four_over_six;
  Scaling scaling = Scaling::tensor;
  std::int64_t batches = 1;
  std::int64_t rows = 0;
  std::int64_t blocks = 0;
  std::int64_t padding = 0;

  std::string target() const { return seed % 4 == 0 ? "@sm_100a" : "@sm_90a"; }
  std::string max_spec() const {
    return scaling == Scaling::tensor
               ? "global_scale[in=" + in + ",range=" + (range_256() ? "256" : "448") + "]" +
                     target()
               : "row_amax[in=" + in + "]" + target();
  }
  std::string nvfp4_quantize_spec() const {
    return "nvfp4_quantize[in=" + in + ",layout=linear,4over6=" + four_over_six +
           ",scale=" + (scaling == Scaling::row ? "row_inv" : "tensor") + "]" + target();
  }
  std::string per_token_spec() const {
    return "nvfp4_quantize_per_token[in=" + in + ",layout=" + layout + ",4over6=" + four_over_six +
           "]" + target();
  }
  std::string nvfp4_dequantize_spec() const {
    return "nvfp4_dequantize[out=" + out + ",layout=" + layout + ",tpc=" + tpc +
           ",scale=" + (scaling == Scaling::tensor ? "tensor_inv" : "row") + "]" + target();
  }
  std::string interleave_spec() const {
    return "scale_interleave[layout=" + layout + "]" + target();
  }
  std::string mx_spec(const char* format, const char* step) const {
    const std::string type = step == std::string("quantize") ? "in=" + in : "out=" + out;
    return std::string(format) + "_" + step + "[" + type + ",layout=" + layout + ",tpc=" + tpc +
           "]" + target();
  }
  std::vector<std::string> specs() const {
    std::vector<std::string> list{nvfp4_dequantize_spec()};
    if (scaling == Scaling::token) {
      list.push_back(per_token_spec());
    } else {
      list.push_back(max_spec());
      list.push_back(nvfp4_quantize_spec());
    }
    for (const char* format : {"mxfp4", "mxfp8"}) {
      list.push_back(mx_spec(format, "quantize"));
      list.push_back(mx_spec(format, "dequantize"));
    }
    if (layout != "linear") {
      list.push_back(interleave_spec());
    }
    return list;
  }
};

// All kernels of all trips, compiled at once.
const HostKernel& kernel(const std::string& text) {
  static Runtime runtime;
  static const auto kernels = [] {
    std::map<std::string, std::size_t> places;
    std::vector<KernelSpec> specs;
    for (std::uint64_t seed = 0; seed < kTrips; ++seed) {
      for (const std::string& spec : Trip(seed).specs()) {
        if (places.emplace(spec, specs.size()).second) {
          specs.push_back(KernelSpec::parse(spec));
        }
      }
    }
    const auto prepared = runtime.prepare_host(specs);
    std::map<std::string, HostKernel> result;
    for (const auto& [spec, place] : places) {
      result.emplace(spec, prepared[place]);
    }
    return result;
  }();
  return kernels.at(text);
}

float* floats(AlignedBuffer& buffer) { return reinterpret_cast<float*>(buffer.data()); }

// What a dequantizer wrote, as floats.
std::vector<float> values_of(const AlignedBuffer& buffer, FloatType type) {
  const auto bytes = buffer.bytes();
  std::vector<float> values(bytes.size() / (type == FloatType::f32 ? 4 : 2));
  if (type == FloatType::f32) {
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, &bytes[2 * i], 2);
    values[i] =
        type == FloatType::bf16 ? reference::bf16_to_float(bits) : reference::f16_to_float(bits);
  }
  return values;
}

struct Tensor {
  Tensor(const Trip& trip, std::int64_t columns)
      : rows(trip.batches * trip.rows),
        cols(columns),
        // So that all of it can be read back as f16, too.
        bits(make_scaled_input(trip.out == "f16" ? ElementType::f16 : trip.type(), rows, cols,
                               trip.seed)),
        values(reference::to_floats(bits, trip.out == "f16" ? ElementType::f16 : trip.type())) {
    for (std::size_t i = 0; i < bits.size(); ++i) {
      bits[i] = reference::from_float(trip.type(), values[i]);
    }
    values = reference::to_floats(bits, trip.type());
  }
  AlignedBuffer buffer() const { return {bits.data(), bits.size() * 2}; }

  std::int64_t rows;
  std::int64_t cols;
  std::vector<std::uint16_t> bits;
  std::vector<float> values;
};

// The scales that the quantizer takes: G of the tensor, or 1/G of each row. The workspace is shared by
// all trips and cleared by nobody but the kernel.
void make_scales(const Trip& trip, const Tensor& tensor, const AlignedBuffer& x,
                 AlignedBuffer& scales) {
  if (trip.scaling == Scaling::row) {
    RowAmaxArgs args;
    args.x = x.data();
    args.amax = floats(scales);
    args.scale = trip.inverse_range();
    args.rows = tensor.rows;
    args.cols = tensor.cols;
    kernel(trip.max_spec()).launch(args);
    return;
  }
  static AlignedBuffer workspace(global_scale_workspace_bytes(), 0);
  AlignedBuffer amax(sizeof(float), 0xA5);
  GlobalScaleArgs args;
  args.x = x.data();
  args.amax = floats(amax);
  args.global_scale = floats(scales);
  args.workspace = reinterpret_cast<std::uint32_t*>(workspace.data());
  args.elements = tensor.rows * tensor.cols;
  kernel(trip.max_spec()).launch(args);
  CHECK(*floats(amax) == reference::largest_magnitude(tensor.values));
}

// Linear block scales in the layout of the trip.
AlignedBuffer laid_out(const Trip& trip, std::int64_t columns, AlignedBuffer linear) {
  if (trip.layout == "linear") {
    return linear;
  }
  AlignedBuffer tiled(
      static_cast<std::size_t>(trip.batches) * tiled_scale_bytes(trip.layout, trip.rows, columns),
      0xA5);
  ScaleInterleaveArgs args;
  args.linear = linear.data();
  args.tiled = tiled.data();
  args.rows = trip.rows;
  args.columns = columns;
  args.batches = trip.batches;
  kernel(trip.interleave_spec()).launch(args);
  return tiled;
}

std::string violation(const Trip& trip, RoundTrip found, const Tensor& tensor,
                      const AlignedBuffer& scales, const AlignedBuffer& out) {
  const auto scale_bytes = scales.bytes();
  const auto restored = values_of(out, trip.output());
  found.layout = reference::parse_scale_layout(trip.layout);
  found.cols = tensor.cols;
  found.x = tensor.values;
  found.scales = scale_bytes;
  found.restored = restored;
  found.out = trip.output();
  return find_violation(found);
}

// Codes, block scales in the trip's layout, and global scales as the dequantizer takes them.
struct Quantized {
  AlignedBuffer codes;
  AlignedBuffer block_scales;
  AlignedBuffer scales;
};

Quantized quantize_nvfp4(const Trip& trip, const Tensor& tensor) {
  const AlignedBuffer x = tensor.buffer();
  AlignedBuffer scales(
      (trip.scaling == Scaling::tensor ? 1 : static_cast<std::size_t>(trip.rows)) * sizeof(float),
      0xA5);
  AlignedBuffer codes(tensor.bits.size() / 2, 0xA5);
  if (trip.scaling == Scaling::token) {
    AlignedBuffer block_scales(nvfp4_scale_bytes(trip.layout, trip.rows, tensor.cols), 0xA5);
    Nvfp4QuantizePerTokenArgs args;
    args.x = x.data();
    args.codes = codes.data();
    args.scales = block_scales.data();
    args.token_scales = floats(scales);
    args.global_scale_inverse = trip.inverse_range();
    args.rows = trip.rows;
    args.cols = tensor.cols;
    kernel(trip.per_token_spec()).launch(args);
    return {std::move(codes), std::move(block_scales), std::move(scales)};
  }
  make_scales(trip, tensor, x, scales);
  AlignedBuffer linear(tensor.bits.size() / 16, 0xA5);
  Nvfp4QuantizeArgs args;
  args.x = x.data();
  args.codes = codes.data();
  args.scales = linear.data();
  args.global_scale = floats(scales);
  args.rows = trip.rows;
  args.cols = tensor.cols;
  args.batches = trip.batches;
  kernel(trip.nvfp4_quantize_spec()).launch(args);
  return {std::move(codes), laid_out(trip, trip.blocks, std::move(linear)), std::move(scales)};
}

std::string nvfp4_trip(const Trip& trip) {
  const Tensor tensor(trip, 16 * trip.blocks);
  Quantized quantized = quantize_nvfp4(trip, tensor);
  AlignedBuffer out(tensor.bits.size() * trip.output_bytes(), 0xA5);
  Nvfp4DequantizeArgs args;
  args.codes = quantized.codes.data();
  args.scales = quantized.block_scales.data();
  args.out = out.data();
  args.global_scale = floats(quantized.scales);
  args.rows = trip.rows;
  args.cols = tensor.cols;
  args.batches = trip.batches;
  kernel(trip.nvfp4_dequantize_spec()).launch(args);

  std::vector<float> encode(quantized.scales.bytes().size() / sizeof(float));
  std::memcpy(encode.data(), quantized.scales.data(), encode.size() * sizeof(float));
  for (float& scale : encode) {
    scale = trip.scaling == Scaling::tensor ? scale : reference::ftz::rcp(scale);
  }
  RoundTrip found;
  found.four_over_six = trip.four_over_six != "off";
  found.batches = trip.batches;
  found.rows = trip.rows;
  found.padded_cols = tensor.cols;
  found.encode_scales = encode;
  return violation(trip, found, tensor, quantized.block_scales, out);
}

std::string mx_trip(const Trip& trip, bool eight_bits) {
  const Tensor tensor(trip, 32 * trip.blocks);
  const std::int64_t padded_cols = tensor.cols + (eight_bits ? 32 * trip.padding : 0);
  const AlignedBuffer x = tensor.buffer();
  const auto row_bytes = static_cast<std::size_t>(eight_bits ? padded_cols : padded_cols / 2);
  AlignedBuffer codes(static_cast<std::size_t>(tensor.rows) * row_bytes, 0xA5);
  AlignedBuffer scales(mx_scale_bytes(trip.layout, tensor.rows, padded_cols), 0xA5);
  AlignedBuffer out(tensor.bits.size() * trip.output_bytes(), 0xA5);
  if (eight_bits) {
    kernel(trip.mx_spec("mxfp8", "quantize"))
        .launch(Mxfp8QuantizeArgs{x.data(), codes.data(), scales.data(), tensor.rows, tensor.cols,
                                  padded_cols});
    kernel(trip.mx_spec("mxfp8", "dequantize"))
        .launch(Mxfp8DequantizeArgs{codes.data(), scales.data(), out.data(), tensor.rows,
                                    tensor.cols, padded_cols});
  } else {
    kernel(trip.mx_spec("mxfp4", "quantize"))
        .launch(Mxfp4QuantizeArgs{x.data(), codes.data(), scales.data(), tensor.rows, tensor.cols});
    kernel(trip.mx_spec("mxfp4", "dequantize"))
        .launch(
            Mxfp4DequantizeArgs{codes.data(), scales.data(), out.data(), tensor.rows, tensor.cols});
  }
  RoundTrip found;
  found.format = eight_bits ? reference::BlockFormat::mxfp8 : reference::BlockFormat::mxfp4;
  found.rows = tensor.rows;
  found.padded_cols = padded_cols;
  return violation(trip, found, tensor, scales, out);
}

}  // namespace

TEST_CASE("tensors come back through the NVFP4 kernels within the format's error", "[round_trip]") {
  for (std::uint64_t seed = 0; seed < kTrips; ++seed) {
    const std::string found = nvfp4_trip(Trip(seed));
    INFO("seed " << seed << ": " << found);
    CHECK(found.empty());
  }
}

TEST_CASE("tensors come back through the MX kernels within the formats' errors", "[round_trip]") {
  for (std::uint64_t seed = 0; seed < kTrips; ++seed) {
    for (const bool eight_bits : {false, true}) {
      const std::string found = mx_trip(Trip(seed), eight_bits);
      INFO("seed " << seed << ": " << found);
      CHECK(found.empty());
    }
  }
}

}  // namespace fourge::tests
