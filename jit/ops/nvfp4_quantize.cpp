#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/nvfp4_quantize.hpp>

#include "jit/ops/arguments.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace fourge {
namespace {

constexpr std::int64_t kBlock = 16;
constexpr int kThreads = 128;

enum AxisIndex : std::size_t { kIn, kLayout, kScale, kMath, kTokensPerCta };

constexpr AxisValue kInValues[] = {{"bf16", "fourge_device::ElementType::bf16", "bfloat16 input"},
                                   {"f16", "fourge_device::ElementType::f16", "IEEE half input"}};
constexpr AxisValue kLayoutValues[] = {
    {"linear", "fourge_device::ScaleLayout::linear", "row-major block scales, no padding"},
    {"128x4", "fourge_device::ScaleLayout::tiled_128x4", "tiles of 128 rows by 4 columns"},
    {"8x4", "fourge_device::ScaleLayout::tiled_8x4", "tiles of 8 rows by 4 columns"}};
constexpr AxisValue kScaleValues[] = {
    {"tensor", "fourge_device::ScaleMode::tensor", "one global scale for the tensor"}};
constexpr AxisValue kMathValues[] = {
    {"exact", "fourge_device::MathMode::exact", "IEEE division, the same bits everywhere"},
    {"fast", "fourge_device::MathMode::fast", "approximate reciprocals"}};
constexpr AxisValue kTokensPerCtaValues[] = {{"1", "1", "one row at a time"},
                                             {"2", "2", "two rows at a time"},
                                             {"4", "4", "four rows at a time"}};

constexpr Axis kAxes[] = {{"in", "kInput", "element type of x", kInValues},
                          {"layout", "kLayout", "layout of the block scales", kLayoutValues},
                          {"scale", "kScaleMode", "what the global scale covers", kScaleValues},
                          {"math", "kMath", "arithmetic", kMathValues},
                          {"tpc", "kTokensPerCta", "rows (tokens) a CTA takes at a time; same bits",
                           kTokensPerCtaValues}};

using Args = Nvfp4QuantizeArgs;

constexpr Param kParams[] = {
    {"x", "const void*", offsetof(Args, x), sizeof(Args::x)},
    {"codes", "unsigned char*", offsetof(Args, codes), sizeof(Args::codes)},
    {"scales", "unsigned char*", offsetof(Args, scales), sizeof(Args::scales)},
    {"global_scale", "const float*", offsetof(Args, global_scale), sizeof(Args::global_scale)},
    {"global_scale_value", "float", offsetof(Args, global_scale_value),
     sizeof(Args::global_scale_value)},
    {"rows", "long long", offsetof(Args, rows), sizeof(Args::rows)},
    {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)}};

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

struct ScaleExtent {
  std::int64_t rows;
  std::int64_t columns;
};

ScaleExtent scale_extent(std::string_view layout, std::int64_t rows, std::int64_t cols) {
  const std::int64_t columns = cols / kBlock;
  if (layout == "linear") {
    return {rows, columns};
  }
  if (layout == "128x4" || layout == "8x4") {
    return {round_up(rows, layout == "128x4" ? 128 : 8), round_up(columns, 4)};
  }
  throw Error(ErrorKind::invalid_spec,
              fmt::format("unknown scale layout \"{}\"; known: linear, 128x4, 8x4", layout));
}

std::string refusal(const KernelSpec&) { return {}; }

int block_threads(const KernelSpec&) { return kThreads; }

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_rows(spec, args.rows);
  jit::check_columns(spec, args.cols, kBlock);
  jit::check_extent(spec, args.rows, args.cols);
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

LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts&) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto extent = scale_extent(spec.get("layout"), args.rows, args.cols);
  LaunchShape shape;
  if (args.rows == 0) {
    shape.empty = true;
    return shape;
  }
  // Grid y strides over the rows, so that it may stay below the hardware's 65535.
  constexpr std::int64_t kMostGridY = 65535;
  const std::int64_t tpc = std::int64_t{1} << spec.index(kTokensPerCta);
  const std::int64_t threads = std::min<std::int64_t>(kThreads, round_up(extent.columns, 32));
  shape.block[0] = static_cast<std::uint32_t>(threads);
  shape.grid[0] = static_cast<std::uint32_t>((extent.columns + threads - 1) / threads);
  shape.grid[1] = static_cast<std::uint32_t>(std::min(kMostGridY, (extent.rows + tpc - 1) / tpc));
  return shape;
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto elements = static_cast<std::size_t>(args.rows) * static_cast<std::size_t>(args.cols);
  std::vector<BufferRegion> list{
      {"x", args.x, elements * 2, Access::read},
      {"codes", args.codes, elements / 2, Access::write},
      {"scales", args.scales, nvfp4_scale_bytes(spec.get("layout"), args.rows, args.cols),
       Access::write}};
  if (args.global_scale != nullptr) {
    list.push_back({"global_scale", args.global_scale, sizeof(float), Access::read});
  }
  return list;
}

}  // namespace

std::size_t nvfp4_scale_bytes(std::string_view layout, std::int64_t rows, std::int64_t cols) {
  const auto extent = scale_extent(layout, rows, cols);
  return static_cast<std::size_t>(extent.rows) * static_cast<std::size_t>(extent.columns);
}

const OpDefinition& nvfp4_quantize_op() {
  static constexpr OpDefinition kOp{
      .name = Args::kOp,
      .summary = "16-element blocks of E2M1 with E4M3 block scales and one FP32 global scale",
      .axes = kAxes,
      .template_file = "nvfp4_quantize.cuh",
      .entry_function = "nvfp4_quantize_kernel",
      .params = kParams,
      .args_size = sizeof(Args),
      .block_threads = block_threads,
      .refusal = refusal,
      .check_args = check_args,
      .launch_shape = launch_shape,
      .regions = regions};
  return kOp;
}

}  // namespace fourge
