#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/nvfp4_activation_quantize.hpp>
#include <fourge/nvfp4_quantize.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/common_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <algorithm>

namespace fourge {
namespace {

constexpr std::int64_t kBlock = 16;
constexpr int kThreads = 64;
constexpr std::int64_t kMostGridY = 65535;  // and z

int block_threads(const KernelSpec&) { return kThreads; }
std::string refusal(const KernelSpec&) { return {}; }

// A thread a column; grid y strides over the rows.
LaunchShape shape_for(std::int64_t columns, std::int64_t rows) {
  LaunchShape shape;
  if (rows == 0) {
    shape.empty = true;
    return shape;
  }
  const auto threads = std::min<std::int64_t>(kThreads, jit::round_up(columns, 32));
  shape.block[0] = static_cast<std::uint32_t>(threads);
  shape.grid[0] = static_cast<std::uint32_t>((columns + threads - 1) / threads);
  shape.grid[1] = static_cast<std::uint32_t>(std::min(kMostGridY, rows));
  return shape;
}

namespace silu {

using Args = SiluAndMulNvfp4QuantizeArgs;

constexpr int kCtas = 18;  // a multiprocessor

// At most 56 registers where that does not spill, for both halves of a block at once.
int min_ctas(const KernelSpec& spec) {
  const int major = spec.target().major();
  const bool fits = major >= 9 && major < 12;
  return fits && spec.get("math") == "exact" && spec.get("4over6") == "off" ? kCtas : 0;
}

// How many blocks a thread takes, of a call that would have so many CTAs with one. Much arithmetic is worth sharing
// what comes before it, if the device is filled a few times even so; measured on an H200.
std::int64_t blocks_each(const KernelSpec& spec, std::int64_t ctas, int multiprocessors) {
  constexpr std::int64_t kFills = 3;
  constexpr std::int64_t kMost = 8;
  const bool is_long = spec.get("math") == "exact" || spec.get("4over6") != "off";
  return is_long ? std::clamp<std::int64_t>(ctas / (kFills * kCtas * std::max(1, multiprocessors)),
                                            1, kMost)
                 : 1;
}

constexpr AxisValue kOrderValues[] = {
    {"gate_first", "fourge_device::Activation::silu_gate_first", "a row is [gate | linear]"},
    {"linear_first", "fourge_device::Activation::silu_linear_first", "a row is [linear | gate]"}};

constexpr Axis kAxes[] = {jit::kInput16Axis,
                          jit::kScaleLayoutAxis,
                          {"order", "kActivation", "which half of a row comes first", kOrderValues},
                          jit::kMathAxis,
                          jit::kFourOverSixAxis};

constexpr Param kParams[] = {
    {"x", "const void*", offsetof(Args, x), sizeof(Args::x)},
    {"codes", "unsigned char*", offsetof(Args, codes), sizeof(Args::codes)},
    {"scales", "unsigned char*", offsetof(Args, scales), sizeof(Args::scales)},
    {"global_scale", "const float*", offsetof(Args, global_scale), sizeof(Args::global_scale)},
    {"global_scale_value", "float", offsetof(Args, global_scale_value),
     sizeof(Args::global_scale_value)},
    {"rows", "long long", offsetof(Args, rows), sizeof(Args::rows)},
    {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)}};

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_rows(spec, args.rows);
  jit::check_columns(spec, args.cols, kBlock);
  jit::check_extent(spec, args.rows, 2 * args.cols);
  if (args.global_scale == nullptr) {
    jit::check_global_scale(spec, args.global_scale_value);
  } else {
    jit::check_pointer(spec, "global_scale", args.global_scale, alignof(float));
  }
  if (args.rows == 0) {
    return;
  }
  jit::check_pointer(spec, "x", args.x, 32);
  jit::check_pointer(spec, "codes", args.codes, 16);
  jit::check_pointer(spec, "scales", args.scales, 16);
}

LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts& device) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto extent = jit::scale_extent(spec.get("layout"), args.rows, args.cols / kBlock);
  LaunchShape shape = shape_for(extent.columns, extent.rows);
  if (!shape.empty) {
    const std::int64_t each =
        blocks_each(spec, shape.grid[0] * extent.rows, device.multiprocessors);
    shape.grid[0] = static_cast<std::uint32_t>((shape.grid[0] + each - 1) / each);
  }
  shape.grid[2] = static_cast<std::uint32_t>(
      std::max<std::int64_t>(1, (extent.rows + kMostGridY - 1) / kMostGridY));
  return shape;
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto elements = static_cast<std::size_t>(args.rows) * static_cast<std::size_t>(args.cols);
  std::vector<BufferRegion> list{
      {"x", args.x, elements * 4, Access::read},
      {"codes", args.codes, elements / 2, Access::write},
      {"scales", args.scales, nvfp4_scale_bytes(spec.get("layout"), args.rows, args.cols),
       Access::write}};
  if (args.global_scale != nullptr) {
    list.push_back({"global_scale", args.global_scale, sizeof(float), Access::read});
  }
  return list;
}

}  // namespace silu

namespace grouped {

using Args = Nvfp4QuantizeGroupedArgs;

constexpr AxisValue kActValues[] = {
    {"none", "fourge_device::Activation::none", "x is quantized as it is"},
    {"silu", "fourge_device::Activation::silu_gate_first",
     "SiLU-and-multiply of [gate | linear] first"}};

constexpr Axis kAxes[] = {jit::kInput16Axis,
                          {"act", "kActivation", "what stands before the quantizer", kActValues},
                          jit::kMathAxis,
                          jit::kFourOverSixAxis};

constexpr Param kParams[] = {
    {"x", "const void*", offsetof(Args, x), sizeof(Args::x)},
    {"codes", "unsigned char*", offsetof(Args, codes), sizeof(Args::codes)},
    {"scales", "unsigned char*", offsetof(Args, scales), sizeof(Args::scales)},
    {"global_scales", "const float*", offsetof(Args, global_scales), sizeof(Args::global_scales)},
    {"valid_rows", "const int*", offsetof(Args, valid_rows), sizeof(Args::valid_rows)},
    {"experts", "long long", offsetof(Args, experts), sizeof(Args::experts)},
    {"rows", "long long", offsetof(Args, rows), sizeof(Args::rows)},
    {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)}};

std::int64_t halves(const KernelSpec& spec) { return spec.get("act") == "silu" ? 2 : 1; }

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_count(spec, "experts", args.experts);
  jit::check_rows(spec, args.rows);
  jit::check_columns(spec, args.cols, kBlock);
  jit::check_extent(spec, args.rows, halves(spec) * args.cols);
  jit::check_extent(spec, args.experts,
                    halves(spec) * args.cols * std::max<std::int64_t>(1, args.rows));
  if (args.rows == 0 || args.experts == 0) {
    return;
  }
  jit::check_pointer(spec, "x", args.x, 32);
  jit::check_pointer(spec, "codes", args.codes, 16);
  jit::check_pointer(spec, "scales", args.scales, 16);
  jit::check_pointer(spec, "global_scales", args.global_scales, alignof(float));
  jit::check_pointer(spec, "valid_rows", args.valid_rows, alignof(std::int32_t));
}

LaunchShape launch_shape(const KernelSpec&, const void* pointer, const DeviceFacts&) {
  const auto& args = *static_cast<const Args*>(pointer);
  return shape_for(args.cols / kBlock, args.experts * args.rows);
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto experts = static_cast<std::size_t>(args.experts);
  const auto elements = experts * static_cast<std::size_t>(args.rows * args.cols);
  return {{"x", args.x, elements * 2 * static_cast<std::size_t>(halves(spec)), Access::read},
          {"codes", args.codes, elements / 2, Access::write},
          {"scales", args.scales, experts * nvfp4_scale_bytes("128x4", args.rows, args.cols),
           Access::write},
          {"global_scales", args.global_scales, experts * sizeof(float), Access::read},
          {"valid_rows", args.valid_rows, experts * sizeof(std::int32_t), Access::read}};
}

}  // namespace grouped

}  // namespace

const OpDefinition& silu_and_mul_nvfp4_quantize_op() {
  static constexpr OpDefinition kOp{
      .name = silu::Args::kOp,
      .summary = "SiLU of one half of a row times the other, quantized to NVFP4",
      .axes = silu::kAxes,
      .template_file = "silu_and_mul_nvfp4_quantize.cuh",
      .entry_function = "silu_and_mul_nvfp4_quantize_kernel",
      .params = silu::kParams,
      .args_size = sizeof(silu::Args),
      .block_threads = block_threads,
      .refusal = refusal,
      .check_args = silu::check_args,
      .launch_shape = silu::launch_shape,
      .regions = silu::regions,
      .min_ctas = silu::min_ctas};
  return kOp;
}

const OpDefinition& nvfp4_quantize_grouped_op() {
  static constexpr OpDefinition kOp{
      .name = grouped::Args::kOp,
      .summary = "experts with a row mask and a global scale each, quantized to NVFP4",
      .axes = grouped::kAxes,
      .template_file = "nvfp4_quantize_grouped.cuh",
      .entry_function = "nvfp4_quantize_grouped_kernel",
      .params = grouped::kParams,
      .args_size = sizeof(grouped::Args),
      .block_threads = block_threads,
      .refusal = refusal,
      .check_args = grouped::check_args,
      .launch_shape = grouped::launch_shape,
      .regions = grouped::regions};
  return kOp;
}

}  // namespace fourge
