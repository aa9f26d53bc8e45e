#include "tools/nvfp4_tensor.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>
#include <utility>

#include "tools/npy.hpp"

namespace fourge::tools {
namespace {

// splitmix64: a number for each index, so that data does not depend on how it is filled.
std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed * 0xD1342543DE82EF95U + (index + 1) * 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31U);
}

// The sum of four uniform numbers is close to normal and needs no library function.
float normal_number(std::uint64_t bits) {
  std::int32_t sum = 0;
  for (int i = 0; i < 4; ++i) {
    sum += static_cast<std::int32_t>((bits >> (16 * i)) & 0xFFFFU) - 0x8000;
  }
  constexpr float kDeviation = 37837.2F;  // of the sum: 65536 / sqrt(3)
  return static_cast<float>(sum) / kDeviation;
}

bool holds_bits_of(const std::string& dtype, reference::ElementType type) {
  return dtype == "<u2" || (dtype == "<f2" && type == reference::ElementType::f16);
}

reference::ElementType element_type(const KernelSpec& spec) {
  return spec.get("in") == "f16" ? reference::ElementType::f16 : reference::ElementType::bf16;
}

}  // namespace

Nvfp4Input read_nvfp4_input(const std::string& path, reference::ElementType type) {
  NpyArray array = read_npy(path);
  const NpyHeader& header = array.header;
  if (!holds_bits_of(header.dtype, type)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: dtype is '{}'; for {} data it must be '<u2' (the bits as uint16, "
                            "x.view(numpy.uint16)){}",
                            path, header.dtype, reference::to_string(type),
                            type == reference::ElementType::f16 ? " or '<f2'" : ""));
  }
  if (header.shape.size() != 2) {
    throw Error(ErrorKind::invalid_argument, fmt::format("{}: shape is {}; it must be (rows, cols)",
                                                         path, shape_text(header.shape)));
  }
  return {header.shape[0], header.shape[1], std::move(array.data)};
}

Nvfp4Input random_nvfp4_input(std::int64_t rows, std::int64_t cols, reference::ElementType type,
                              std::uint64_t seed) {
  Nvfp4Input input{rows, cols,
                   AlignedBytes(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols) *
                                sizeof(std::uint16_t))};
  std::uint64_t index = 0;
  for (std::uint16_t& element : input.x.as<std::uint16_t>()) {
    element = reference::from_float(type, normal_number(random_bits(seed, index++)));
  }
  return input;
}

float usual_global_scale(const Nvfp4Input& input, reference::ElementType type, float& amax) {
  amax = reference::magnitude_maximum(input.x.as<std::uint16_t>(), type);
  const float scale = std::min(448.0F * 6.0F / amax, std::numeric_limits<float>::max());
  return scale == 0.0F ? 1.0F : scale;
}

Nvfp4Result make_nvfp4_result(const KernelSpec& spec, std::int64_t rows, std::int64_t cols) {
  constexpr int kUnwritten = 0xA5;
  Nvfp4Result result{
      AlignedBytes(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols) / 2),
      AlignedBytes(nvfp4_scale_bytes(spec.get("layout"), rows, cols))};
  std::memset(result.codes.data(), kUnwritten, result.codes.size());
  std::memset(result.scales.data(), kUnwritten, result.scales.size());
  return result;
}

Nvfp4QuantizeArgs nvfp4_args(const Nvfp4Input& input, Nvfp4Result& result, float global_scale) {
  Nvfp4QuantizeArgs args;
  args.x = input.x.data();
  args.codes = result.codes.as<std::uint8_t>().data();
  args.scales = result.scales.as<std::uint8_t>().data();
  args.global_scale_value = global_scale;
  args.rows = input.rows;
  args.cols = input.cols;
  return args;
}

void check_nvfp4_call(const KernelSpec& spec, std::int64_t rows, std::int64_t cols,
                      float global_scale) {
  const Nvfp4Input input{rows, cols, AlignedBytes(0)};
  Nvfp4Result result;
  const Nvfp4QuantizeArgs args = nvfp4_args(input, result, global_scale);
  spec.op().check_args(spec, &args);
}

reference::CompareReport verify_nvfp4(const KernelSpec& spec, const Nvfp4Input& input,
                                      float global_scale, const Nvfp4Result& result) {
  reference::Nvfp4Problem problem;
  problem.x = input.x.as<std::uint16_t>();
  problem.type = element_type(spec);
  problem.rows = input.rows;
  problem.cols = input.cols;
  problem.global_scale = global_scale;
  problem.math =
      spec.get("math") == "fast" ? reference::MathMode::fast : reference::MathMode::exact;
  problem.layout = reference::parse_scale_layout(spec.get("layout"));
  const auto codes = result.codes.as<std::uint8_t>();
  const auto scales = result.scales.as<std::uint8_t>();
  return reference::compare_nvfp4(
      problem,
      reference::quantize_nvfp4(problem, std::max(1U, std::thread::hardware_concurrency())),
      {{codes.begin(), codes.end()}, {scales.begin(), scales.end()}});
}

}  // namespace fourge::tools
