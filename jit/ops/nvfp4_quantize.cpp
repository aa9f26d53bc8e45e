#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/nvfp4_quantize.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/common_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace fourge {
namespace {

constexpr std::int64_t kBlock = 16;
constexpr int kThreads = 64;  // the template's, too
constexpr int kFlatThreads = 128;

constexpr std::int64_t kMostFlatX = std::int64_t{1} << 30;
constexpr std::int64_t kMostGridZ = 65535;
// Groups of rows in y, at most: a multiple of 128, so that every slice begins with a tile.
constexpr std::int64_t kMostGroups = 511 * 128;

enum AxisIndex : std::size_t { kIn, kLayout, kScale, kMath, kTokensPerCta, kFourOverSix };
enum ScaleIndex : std::size_t { kTensor, kRow, kTensorInverse, kRowInverse };

constexpr AxisValue kInValues[] = {
    jit::kInput16Values[0],
    jit::kInput16Values[1],
    {"e4m3", "fourge_device::ElementType::e4m3", "8-bit E4M3 input; fast math only"}};
constexpr AxisValue kScaleValues[] = {
    {"tensor", "fourge_device::ScaleMode::tensor", "one global scale for the tensor"},
    {"row", "fourge_device::ScaleMode::row", "one scale a row"},
    {"tensor_inv", "fourge_device::ScaleMode::tensor_inv", "one for the tensor, given as 1/G"},
    {"row_inv", "fourge_device::ScaleMode::row_inv", "one a row, given as 1/G"}};
constexpr Axis kAxes[] = {{"in", "kInput", "element type of x", kInValues},
                          jit::kScaleLayoutAxis,
                          {"scale", "kScaleMode", "what the global scale covers", kScaleValues},
                          jit::kMathAxis,
                          jit::kTokensPerCtaAxis,
                          jit::kFourOverSixAxis};

bool takes_e4m3(const KernelSpec& spec) { return spec.index(kIn) == 2; }
bool has_row_scale(const KernelSpec& spec) {
  return spec.index(kScale) == kRow || spec.index(kScale) == kRowInverse;
}
bool is_inverse(const KernelSpec& spec) {
  return spec.index(kScale) == kTensorInverse || spec.index(kScale) == kRowInverse;
}

using Args = Nvfp4QuantizeArgs;

constexpr Param kParams[] = {
    {"x", "const void*", offsetof(Args, x), sizeof(Args::x)},
    {"codes", "unsigned char*", offsetof(Args, codes), sizeof(Args::codes)},
    {"scales", "unsigned char*", offsetof(Args, scales), sizeof(Args::scales)},
    {"global_scale", "const float*", offsetof(Args, global_scale), sizeof(Args::global_scale)},
    {"global_scale_value", "float", offsetof(Args, global_scale_value),
     sizeof(Args::global_scale_value)},
    {"rows", "long long", offsetof(Args, rows), sizeof(Args::rows)},
    {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)},
    {"batches", "long long", offsetof(Args, batches), sizeof(Args::batches)}};

std::string refusal(const KernelSpec& spec) {
  if (takes_e4m3(spec) && spec.get("math") == "exact") {
    return "in=e4m3 has no math=exact: its arithmetic is defined with approximate reciprocals; use "
           "math=fast";
  }
  if (takes_e4m3(spec) && spec.index(kFourOverSix) != 0) {
    return fmt::format("4over6={} needs in=bf16 or in=f16; for in=e4m3 it must be off",
                       spec.get("4over6"));
  }
  return {};
}

// Rows and batches do not matter: see the template.
bool is_flat(const KernelSpec& spec) { return spec.index(kLayout) == 0 && !has_row_scale(spec); }

// As in the template.
int block_threads(const KernelSpec& spec) {
  return is_flat(spec) && spec.index(kTokensPerCta) == 0 && spec.index(kFourOverSix) == 0
             ? kFlatThreads
             : kThreads;
}

// 4over6 of a block a thread that needs no local memory with 56 registers, and gains a tenth by more warps.
bool fits_56_registers(const KernelSpec& spec) {
  return spec.target().major() == 9 && spec.index(kTokensPerCta) == 0 &&
         spec.get("layout") != "linear" && !has_row_scale(spec);
}

// How many CTAs shall fit, so that not more than 64 registers are used or as few more as keep everything
// out of local memory: found by compiling.
int min_ctas(const KernelSpec& spec) {
  const bool flat = is_flat(spec);
  const bool exact = spec.get("math") == "exact";
  if (spec.index(kFourOverSix) != 0) {  // there is much to compute: many warps take turns
    const bool many_addresses = has_row_scale(spec) && spec.index(kTokensPerCta) != 0;
    const bool fits = spec.get("layout") != "8x4" && spec.target().major() == 9;
    if (fits_56_registers(spec)) return 18;
    const bool parks =
        spec.get("layout") == "128x4" && !has_row_scale(spec);  // as the template does
    if (flat || (parks && spec.target().major() == 9)) return 16;
    return many_addresses && !fits ? 12 : 14;
  }
  if (spec.index(kTokensPerCta) != 2) {
    return 0;
  }
  // Four blocks a thread: with more registers too few loads are on their way.
  if (has_row_scale(spec)) {
    return 10;
  }
  if (exact &&
      is_inverse(spec)) {  // the compiler does best alone; with any bound it spills somewhere
    return 0;
  }
  const bool before_hopper = spec.target().major() < 9;
  if (before_hopper) {
    return flat ? 14 : 12;
  }
  return flat || exact ? 16 : 14;
}

bool is_empty(const Args& args) { return args.rows == 0 || args.batches == 0; }

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_rows(spec, args.rows);
  jit::check_columns(spec, args.cols, kBlock);
  jit::check_batches(spec, args.batches, args.rows, args.cols);
  if (args.global_scale != nullptr) {
    jit::check_pointer(spec, "global_scale", args.global_scale, alignof(float));
  } else if (is_inverse(spec) && !has_row_scale(spec)) {
    jit::check_inverse_global_scale(spec, args.global_scale_value);
  } else if (!has_row_scale(spec)) {
    jit::check_global_scale(spec, args.global_scale_value);
  }
  if (is_empty(args)) {
    return;
  }
  if (has_row_scale(spec)) {
    jit::check_pointer(spec, "global_scale", args.global_scale, alignof(float));
  }
  jit::check_pointer(spec, "x", args.x, 32);
  jit::check_pointer(spec, "codes", args.codes, 16);
  jit::check_pointer(spec, "scales", args.scales, 16);
}

std::uint32_t grid_x(const KernelSpec& spec, std::int64_t ctas) {
  if (ctas > 0x7FFFFFFF) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: {} CTAs are too many for one launch (at most 2^31 - 1); split x",
                            spec.text(), ctas));
  }
  return static_cast<std::uint32_t>(ctas);
}

LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts&) {
  const auto& args = *static_cast<const Args*>(pointer);
  LaunchShape shape;
  if (is_empty(args)) {
    shape.empty = true;
    return shape;
  }
  const std::int64_t tpc = std::int64_t{1} << spec.index(kTokensPerCta);
  if (is_flat(spec)) {
    const std::int64_t blocks = args.batches * args.rows * (args.cols / kBlock);
    const std::int64_t threads = block_threads(spec);
    shape.block[0] = static_cast<std::uint32_t>(threads);
    const std::int64_t ctas = (blocks + threads * tpc - 1) / (threads * tpc);
    jit::set_ctas(shape, ctas, kMostFlatX);
    return shape;
  }
  const auto extent = jit::scale_extent(spec.index(kLayout), args.rows, args.cols / kBlock);
  // As in the template: a warp takes four columns of eight rows.
  const bool by_tiles = spec.index(kLayout) != 0 && tpc == 1 && spec.index(kFourOverSix) == 0;
  const std::int64_t group_rows = by_tiles ? 8 : tpc;
  const std::int64_t across = by_tiles ? kThreads / 8 : kThreads;
  const std::int64_t groups = (extent.rows + group_rows - 1) / group_rows;
  const std::int64_t in_y = std::min(kMostGroups, groups);
  // z has the batches, or a batch's slices of in_y groups; x goes round where that is too many.
  const std::int64_t slices = (groups + in_y - 1) / in_y;
  const std::int64_t in_z = std::min(kMostGridZ, slices == 1 ? args.batches : slices);
  const std::int64_t rounds =
      slices == 1 ? (args.batches + in_z - 1) / in_z : (slices + in_z - 1) / in_z * args.batches;
  const std::int64_t chunks = (extent.columns + across - 1) / across;
  shape.block[0] = kThreads;
  shape.grid[0] = grid_x(spec, chunks * rounds);
  shape.grid[1] = static_cast<std::uint32_t>(in_y);
  shape.grid[2] = static_cast<std::uint32_t>(in_z);
  return shape;
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto batches = static_cast<std::size_t>(args.batches);
  const auto rows = static_cast<std::size_t>(args.rows);
  const auto elements = batches * rows * static_cast<std::size_t>(args.cols);
  std::vector<BufferRegion> list{
      {"x", args.x, elements * (takes_e4m3(spec) ? 1 : 2), Access::read},
      {"codes", args.codes, elements / 2, Access::write},
      {"scales", args.scales, batches * nvfp4_scale_bytes(spec.get("layout"), args.rows, args.cols),
       Access::write}};
  if (args.global_scale != nullptr) {
    const std::size_t count = has_row_scale(spec) ? rows : 1;
    list.push_back({"global_scale", args.global_scale, count * sizeof(float), Access::read});
  }
  return list;
}

}  // namespace

std::size_t nvfp4_scale_bytes(std::string_view layout, std::int64_t rows, std::int64_t cols) {
  const auto extent = jit::scale_extent(layout, rows, cols / kBlock);
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
      .regions = regions,
      .min_ctas = min_ctas};
  return kOp;
}

}  // namespace fourge
