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
constexpr std::int64_t kMostColumns = std::int64_t{1} << 34;  // blocks are counted in 32 bits
// Rows that one warp can hold: several of them make a CTA, if there are enough for all
// multiprocessors.
constexpr std::int64_t kRowsPerCta = 4;

enum AxisIndex : std::size_t { kIn, kLayout, kRow, kMath, kFourOverSix };
enum RowIndex : std::size_t { kRegisters, kRegisters2, kRegisters1, kCluster, kLooped, kCopied };

constexpr AxisValue kRowValues[] = {
    {"registers", "fourge_device::RowHolding::registers",
     "four blocks a thread in registers; at most 65536 columns (57344 on sm_120 and its like), "
     "49152 with tiled scales, 32768 with 4over6"},
    {"registers2", "fourge_device::RowHolding::registers2",
     "two blocks a thread in registers; at most 32768 columns, 28672 with 4over6"},
    {"registers1", "fourge_device::RowHolding::registers1",
     "one block a thread in registers, for few or short rows; at most 16384 columns"},
    {"cluster", "fourge_device::RowHolding::cluster",
     "in registers of the CTAs of a cluster, for long rows; sm_90 and later; at most 131072 "
     "columns, "
     "65536 with 4over6"},
    {"looped", "fourge_device::RowHolding::looped",
     "any number of columns; a row is read twice, the second time from a cache"},
    {"copied", "fourge_device::RowHolding::copied",
     "in shared memory, where it is copied, for many rows; sm_90 and later; at most 32768 "
     "columns"}};

// How many blocks a thread holds, and how many threads at most share a row: as many as leave each the
// registers it needs.
struct Holding {
  std::string_view text;
  std::int64_t blocks;
  std::int64_t threads;         // linear block scales
  std::int64_t threads_tiled;   // other layouts need more addresses
  std::int64_t threads_4over6;  // any layout
  std::int64_t most_ctas = 1;   // a row may have
};
constexpr Holding kHoldings[] = {
    {"registers", 4, 1024, 768, 512},    {"registers2", 2, 1024, 1024, 896},
    {"registers1", 1, 1024, 1024, 1024}, {"cluster", 4, 256, 256, 256, 8},
    {"looped", 4, 512, 512, 512},        {"copied", 4, 512, 512, 512}};
// With 4over6, of copied rows in so many for a multiprocessor, a thread takes more.
constexpr std::int64_t kMostBlocksPerThread = 8;
constexpr std::int64_t kManyCopiedRows = 60;

std::int64_t blocks_of(const Holding& holding, bool four_over_six) {
  return holding.most_ctas > 1 && four_over_six ? 2 : holding.blocks;
}

// What decides how many registers a thread of a row needs.
struct RowForm {
  std::string_view layout;
  bool four_over_six;
  bool sm_120;  // or its like, where four blocks a thread take a few registers more
};
RowForm form_of(const KernelSpec& spec) {
  return {spec.get("layout"), spec.index(kFourOverSix) != 0, spec.target().major() >= 12};
}

std::int64_t threads_of(const Holding& holding, const RowForm& form) {
  if (form.four_over_six) {
    return holding.threads_4over6;
  }
  if (form.layout != "linear") {
    return holding.threads_tiled;
  }
  return form.sm_120 && holding.text == "registers" ? 896 : holding.threads;
}

// 0: any number.
std::int64_t most_columns(const Holding& holding, const RowForm& form) {
  return holding.text == "looped" ? 0
                                  : kBlock * blocks_of(holding, form.four_over_six) *
                                        holding.most_ctas * threads_of(holding, form);
}

constexpr Axis kAxes[] = {
    jit::kInput16Axis,
    jit::kScaleLayoutAxis,
    {"row", "kRow", "where a row stays until its scale is known; same bits", kRowValues, "looped"},
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

std::string refusal(const KernelSpec& spec) {
  if (spec.index(kRow) == kCluster && spec.target().major() < 9) {
    return fmt::format(
        "row=cluster needs thread-block clusters, which {} has not (sm_90 and later "
        "have); take row=looped",
        spec.target().text());
  }
  if (spec.index(kRow) == kCopied && !spec.target().features().bulk_copy) {
    return fmt::format(
        "row=copied needs bulk copies, which {} has not (sm_90 and later have); take "
        "row=registers or row=looped",
        spec.target().text());
  }
  return {};
}

const Holding& holding_of(const KernelSpec& spec) { return kHoldings[spec.index(kRow)]; }
int block_threads(const KernelSpec& spec) {
  return static_cast<int>(threads_of(holding_of(spec), form_of(spec)));
}

// Clusters: for 64 registers, or 80 or 128 where fewer would spill.
int min_ctas(const KernelSpec& spec) {
  if (spec.index(kRow) == kLooped && spec.index(kFourOverSix) != 0) {
    return 1;  // else the compiler takes 64 for some targets, and spills
  }
  if (spec.index(kRow) == kCopied) {  // 64 registers, but where fewer than 80 would spill
    return spec.target().major() >= 12 && spec.index(kFourOverSix) != 0 ? 1 : 2;
  }
  if (spec.index(kRow) != kCluster) {
    return 0;
  }
  const bool is_linear = spec.get("layout") == "linear";
  const bool four_over_six = spec.index(kFourOverSix) != 0;
  if (spec.target().major() >= 12) {
    return is_linear || !four_over_six ? 3 : 2;
  }
  return is_linear && !four_over_six ? 4 : 3;
}

std::uint32_t max_dynamic_shared(const KernelSpec& spec) {
  return spec.index(kRow) == kCopied
             ? static_cast<std::uint32_t>(2 * most_columns(holding_of(spec), form_of(spec)))
             : 0;
}

bool is_empty(const Args& args) {
  return args.rows == 0 || (args.row_map != nullptr && args.mapped_rows == 0);
}

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_rows(spec, args.rows);
  jit::check_columns(spec, args.cols, kBlock);
  jit::check_extent(spec, args.rows, args.cols);
  if (args.cols > kMostColumns) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: cols is {}; at most {}", spec.text(), args.cols, kMostColumns));
  }
  jit::check_inverse_scale(spec, "global_scale_inverse", args.global_scale_inverse,
                           "1 / (448 * 6)");
  const std::int64_t most = nvfp4_per_token_most_columns(spec);
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
  const auto extent = jit::scale_extent(spec.index(kLayout), args.rows, args.cols / kBlock);
  const std::int64_t count = args.row_map != nullptr ? args.mapped_rows : extent.rows;
  const bool four_over_six = spec.index(kFourOverSix) != 0;
  const bool copied = spec.index(kRow) == kCopied;
  const std::int64_t blocks =
      copied && four_over_six && count >= kManyCopiedRows * device.multiprocessors
          ? kMostBlocksPerThread
          : blocks_of(holding_of(spec), four_over_six);
  std::int64_t units = (extent.columns + blocks - 1) / blocks;
  if (spec.index(kRow) == kCluster) {
    while (units > block_threads(spec) * std::int64_t{shape.cluster}) {
      shape.cluster *= 2;
    }
    units = (units + shape.cluster - 1) / shape.cluster;
    shape.dynamic_shared_bytes = shape.cluster * std::uint32_t{sizeof(std::uint32_t)};
  }
  const std::int64_t threads =
      std::min<std::int64_t>(block_threads(spec), jit::round_up(units, 32));
  if (copied) {
    shape.dynamic_shared_bytes = static_cast<std::uint32_t>(args.cols * 2);
  }
  const bool several = threads == 32 && !copied && spec.index(kRow) != kCluster &&
                       count >= kRowsPerCta * device.multiprocessors;
  const std::int64_t rows_per_cta = several ? kRowsPerCta : 1;
  shape.block[0] = static_cast<std::uint32_t>(threads);
  shape.block[1] = static_cast<std::uint32_t>(rows_per_cta);
  const std::int64_t groups = (count + rows_per_cta - 1) / rows_per_cta;
  jit::set_ctas(shape, groups, kMostGridX / shape.cluster);
  shape.grid[0] *= shape.cluster;
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

std::int64_t nvfp4_per_token_most_columns(const KernelSpec& spec) {
  if (spec.op().name != Args::kOp) {
    throw Error(ErrorKind::invalid_spec,
                fmt::format("{} does not name a variant of {}", spec.text(), Args::kOp));
  }
  return most_columns(holding_of(spec), form_of(spec));
}

// Measured on an H200: few rows run best with the most threads; many with the fewest registers, in shared memory, which
// without 4over6 pays for long ones only, or else with the fewest threads that hold them.
std::string_view nvfp4_per_token_row(std::int64_t rows, std::int64_t cols, std::string_view layout,
                                     bool four_over_six, const Target& target,
                                     const DeviceFacts& device) {
  // With 4over6, of a longer one with two blocks a thread a multiprocessor holds only one.
  constexpr std::int64_t kWideRow = 12288;
  constexpr std::int64_t kLongRow = 4096;
  // A multiprocessor.
  constexpr std::int64_t kFewRows = 2;
  constexpr std::int64_t kManyRows = 12;
  constexpr std::int64_t kMany4over6Rows = 64;
  constexpr std::int64_t kManyLongRows = 28;
  const std::int64_t per_multiprocessor = rows / std::max(device.multiprocessors, 1);
  const auto holds = [&](RowIndex row) {
    return cols <= most_columns(kHoldings[row], {layout, four_over_six, target.major() >= 12});
  };
  RowIndex row = kLooped;
  if (per_multiprocessor < kFewRows && holds(kRegisters1)) {
    row = kRegisters1;
  } else if (target.features().bulk_copy && holds(kCopied) &&
             (four_over_six || (cols > kLongRow && per_multiprocessor >= kManyLongRows))) {
    row = kCopied;
  } else if (per_multiprocessor < (four_over_six ? kMany4over6Rows : kManyRows) &&
             (!four_over_six || cols <= kWideRow) && holds(kRegisters2)) {
    row = kRegisters2;
  } else if (holds(kRegisters)) {
    row = kRegisters;
  } else if (target.major() >= 9 && holds(kCluster)) {
    row = kCluster;
  }
  return kHoldings[row].text;
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
      .regions = regions,
      .min_ctas = min_ctas,
      .max_dynamic_shared = max_dynamic_shared};
  return kOp;
}

}  // namespace fourge
