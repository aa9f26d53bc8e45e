#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/nvfp4_quantize_per_token.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/common_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace fourge {
namespace {

constexpr std::int64_t kBlock = 16;
constexpr int kThreads = 512;
constexpr std::int64_t kBlocksPerThread = 4;
// Rows that one warp can hold: several of them make a CTA, if there are enough for all
// multiprocessors.
constexpr std::int64_t kRowsPerCta = 4;

enum AxisIndex : std::size_t { kIn, kLayout, kRow, kMath, kFourOverSix };
enum RowIndex : std::size_t { kRegisters, kRegisters1, kLooped };

constexpr AxisValue kRowValues[] = {
    {"registers", "fourge_device::RowHolding::registers",
     "four blocks a thread in registers; at most 32768 columns"},
    {"registers1", "fourge_device::RowHolding::registers1",
     "one block a thread in registers, for few or short rows; at most 8192 columns"},
    {"looped", "fourge_device::RowHolding::looped",
     "any number of columns; a row is read twice, the second time from a cache"}};

constexpr Axis kAxes[] = {
    jit::kInput16Axis,
    jit::kScaleLayoutAxis,
    {"row", "kRow", "where a row stays until its scale is known; same bits", kRowValues},
    jit::kMathAxis,
    jit::kFourOverSixAxis};

using Args = Nvfp4QuantizePerTokenArgs;

constexpr Param kParams[] = {
    {"x", "const void*", offsetof(Args, x), sizeof(Args::x)},
    {"codes", "unsigned char*", offsetof(Args, codes), sizeof(Args::codes)},
    {"scales", "unsigned char*", offsetof(Args, scales), sizeof(Args::scales)},
    {"token_scales", "float*", offsetof(Args, token_scales), sizeof(Args::token_scales)},
    {"row_map", "const int*", offsetof(Args, row_map), sizeof(Args::row_map)},
    {"global_scale_inverse", "float", offsetof(Args, global_scale_inverse),
     sizeof(Args::global_scale_inverse)},
    {"rows", "long long", offsetof(Args, rows), sizeof(Args::rows)},
    {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)},
    {"mapped_rows", "long long", offsetof(Args, mapped_rows), sizeof(Args::mapped_rows)}};

std::string refusal(const KernelSpec&) { return {}; }
int block_threads(const KernelSpec&) { return kThreads; }

std::int64_t blocks_per_thread(const KernelSpec& spec) {
  return spec.index(kRow) == kRegisters1 ? 1 : kBlocksPerThread;
}

bool is_empty(const Args& args) {
  return args.rows == 0 || (args.row_map != nullptr && args.mapped_rows == 0);
}

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_rows(spec, args.rows);
  jit::check_columns(spec, args.cols, kBlock);
  jit::check_extent(spec, args.rows, args.cols);
  jit::check_inverse_scale(spec, "global_scale_inverse", args.global_scale_inverse,
                           "1 / (448 * 6)");
  const std::int64_t most = nvfp4_per_token_most_columns(spec.get("row"));
  if (most != 0 && args.cols > most) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: cols is {}; row={} holds at most {} columns, use row=looped",
                            spec.text(), args.cols, spec.get("row"), most));
  }
  if (args.row_map != nullptr) {
    jit::check_pointer(spec, "row_map", args.row_map, alignof(std::int32_t));
    jit::check_count(spec, "mapped_rows", args.mapped_rows);
  }
  if (is_empty(args)) {
    return;
  }
  jit::check_pointer(spec, "x", args.x, 32);
  jit::check_pointer(spec, "codes", args.codes, 16);
  jit::check_pointer(spec, "scales", args.scales, 16);
  jit::check_pointer(spec, "token_scales", args.token_scales, alignof(float));
}

LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts& device) {
  constexpr std::int64_t kMostGridX = 2147483647;
  const auto& args = *static_cast<const Args*>(pointer);
  LaunchShape shape;
  if (is_empty(args)) {
    shape.empty = true;
    return shape;
  }
  const auto extent = jit::scale_extent(spec.get("layout"), args.rows, args.cols / kBlock);
  const std::int64_t count = args.row_map != nullptr ? args.mapped_rows : extent.rows;
  const std::int64_t units =
      (extent.columns + blocks_per_thread(spec) - 1) / blocks_per_thread(spec);
  const std::int64_t threads = std::min<std::int64_t>(kThreads, jit::round_up(units, 32));
  const bool several = threads == 32 && count >= kRowsPerCta * device.multiprocessors;
  const std::int64_t rows_per_cta = several ? kRowsPerCta : 1;
  shape.block[0] = static_cast<std::uint32_t>(threads);
  shape.block[1] = static_cast<std::uint32_t>(rows_per_cta);
  shape.grid[0] =
      static_cast<std::uint32_t>(std::min(kMostGridX, (count + rows_per_cta - 1) / rows_per_cta));
  return shape;
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto rows = static_cast<std::size_t>(args.rows);
  const auto elements = rows * static_cast<std::size_t>(args.cols);
  std::vector<BufferRegion> list{
      {"x", args.x, elements * 2, Access::read},
      {"codes", args.codes, elements / 2, Access::write},
      {"scales", args.scales, nvfp4_scale_bytes(spec.get("layout"), args.rows, args.cols),
       Access::write},
      {"token_scales", args.token_scales, rows * sizeof(float), Access::write}};
  if (args.row_map != nullptr) {
    list.push_back({"row_map", args.row_map,
                    static_cast<std::size_t>(args.mapped_rows) * sizeof(std::int32_t),
                    Access::read});
  }
  return list;
}

}  // namespace

std::int64_t nvfp4_per_token_most_columns(std::string_view row) {
  if (row == "looped") {
    return 0;
  }
  if (row == "registers" || row == "registers1") {
    return kBlock * kThreads * (row == "registers" ? kBlocksPerThread : 1);
  }
  throw Error(ErrorKind::invalid_spec,
              fmt::format("unknown row holding \"{}\"; known: registers, registers1, looped", row));
}

const OpDefinition& nvfp4_quantize_per_token_op() {
  static constexpr OpDefinition kOp{
      .name = Args::kOp,
      .summary = "NVFP4 with one scale a row, computed from the row by the kernel",
      .axes = kAxes,
      .template_file = "nvfp4_quantize_per_token.cuh",
      .entry_function = "nvfp4_quantize_per_token_kernel",
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
