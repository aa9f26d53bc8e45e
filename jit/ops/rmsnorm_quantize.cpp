#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/rmsnorm_quantize.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/quantize_axes.hpp"
#include "jit/ops/rmsnorm_rows.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

namespace fourge {
namespace {

using namespace jit::rmsnorm;

// Of many rows, and of very many to NVFP4, where instructions are what counts.
constexpr std::int64_t kBlocksPerThread = 4;
constexpr std::int64_t kMostBlocksPerThread = 7;
// Of copied rows with a residual, unless there are so many for a multiprocessor.
constexpr std::int64_t kFewBlocksPerThread = 2;
constexpr std::int64_t kManyResidualRows = 48;
constexpr std::int64_t kMany4over6Rows = 24;
constexpr std::int64_t kVeryManyRows = 64;  // a multiprocessor
// A row of so many lies in shared memory, a longer one is read again: norm_row.cuh. With the static part it is within
// the 48 KiB that every launch may have.
constexpr std::int64_t kMostHeldColumns = 23040;
constexpr std::int64_t kMostColumns = std::int64_t{1} << 24;
// Rows of one warp each that share a CTA, if there are enough of them for all multiprocessors.
constexpr std::int64_t kRowsPerCta = 4;

constexpr AxisValue kResidualValues[] = {
    {"none", "fourge_device::Residual::none", "the norm of x"},
    {"add", "fourge_device::Residual::add", "the norm of x + residual, which is stored too"}};

constexpr Axis kAxes[] = {
    jit::kInput16Axis,
    {"out", "kFormat", "what the norm's output is quantized to",
     std::span(jit::kQuantizedFormatValues).first(3)},
    jit::kScaleLayoutAxis,
    jit::scaling_axis(2),
    jit::kFourOverSixAxis,
    {"order", "kRounding", "where values are rounded to the type of x", jit::kRoundingValues},
    {"residual", "kResidual", "what is added before the norm", kResidualValues},
    jit::kNormWeightAxis,
    {"row", "kRow", "where a row stays until its sum is known; same bits", kRowValues, "shared"},
    jit::kExactMathAxis};

using Args = RmsnormQuantizeArgs;

constexpr Param kParams[] = {
    {"x", "const void*", offsetof(Args, x), sizeof(Args::x)},
    {"residual", "const void*", offsetof(Args, residual), sizeof(Args::residual)},
    {"weight", "const void*", offsetof(Args, weight), sizeof(Args::weight)},
    {"q", "unsigned char*", offsetof(Args, q), sizeof(Args::q)},
    {"scales", "unsigned char*", offsetof(Args, scales), sizeof(Args::scales)},
    {"token_scales", "float*", offsetof(Args, token_scales), sizeof(Args::token_scales)},
    {"residual_out", "void*", offsetof(Args, residual_out), sizeof(Args::residual_out)},
    {"norm_out", "void*", offsetof(Args, norm_out), sizeof(Args::norm_out)},
    {"scale", "const float*", offsetof(Args, scale), sizeof(Args::scale)},
    {"scale_value", "float", offsetof(Args, scale_value), sizeof(Args::scale_value)},
    {"eps", "float", offsetof(Args, eps), sizeof(Args::eps)},
    {"rows", "long long", offsetof(Args, rows), sizeof(Args::rows)},
    {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)}};

std::string refusal(const KernelSpec& spec) {
  const auto out = spec.get("out");
  if (out == "fp8" && spec.get("layout") != "linear") {
    return "out=fp8 has no block scales: layout must be linear";
  }
  if (out == "mxfp8" && per_token(spec)) {
    return "out=mxfp8 has block scales only: scale must be tensor";
  }
  if (spec.get("4over6") != "off" && out != "nvfp4") {
    return "4over6 is for out=nvfp4";
  }
  if (spec.get("4over6") != "off" && spec.get("order") == "unrounded") {
    return "4over6 needs values of 16 bits: order must be rounded";
  }
  if (is_exact(spec) && !is_plain_nvfp4(spec)) {
    return fmt::format(
        "row={} is for out=nvfp4 with scale=tensor, 4over6=off, order=rounded and residual=none; "
        "take row=shared",
        spec.get("row"));
  }
  if (holding(spec) == Holding::copied && spec.get("order") == "unrounded") {
    return "row=copied is for order=rounded; take row=shared";
  }
  if (is_copied(spec) && !spec.target().features().bulk_copy) {
    return fmt::format(
        "row={} needs bulk copies, which {} has not (sm_90 and later have); take row=shared{}",
        spec.get("row"), spec.target().text(),
        is_exact(spec)
            ? fmt::format(", or a row in registers of {} columns", row_shape(spec).cols())
            : std::string());
  }
  return {};
}

int block_threads(const KernelSpec& spec) { return static_cast<int>(most_threads(spec)); }

// A copied row's places in 8x4 tiles follow from those of the one before if the rows between are whole tiles.
std::int64_t whole_tiles(const KernelSpec& spec, std::int64_t ctas) {
  constexpr std::int64_t kTileRows = 8;
  return spec.get("layout") == "8x4" ? std::max(kTileRows, ctas / kTileRows * kTileRows) : ctas;
}

// CTAs of a multiprocessor, which take all rows where rows are copied. On sm_100 and later a thread needs 128 registers.
int copying_ctas(const KernelSpec& spec) {
  const RowShape& shape = row_shape(spec);
  return spec.target().major() >= 10 ? static_cast<int>(512 / shape.threads) : shape.min_ctas;
}

// At most 64 registers, or 128 where these would spill: a row waits for its sum, so several must take turns.
int min_ctas(const KernelSpec& spec) {
  if (is_exact(spec)) {
    const RowShape& shape = row_shape(spec);
    if (shape.holding == Holding::several) {
      return copying_ctas(spec);
    }
    if (spec.target().major() >= 10) {
      return shape.blocks == 1   ? 1024 / static_cast<int>(shape.threads)
             : shape.blocks == 4 ? 8
             : shape.blocks == 8 ? 4
                                 : 5;
    }
    if (shape.blocks == 5 && spec.get("layout") == "128x4") {
      return 9;
    }
    return shape.blocks == 4 && spec.get("layout") != "linear" ? 8 : shape.min_ctas;
  }
  // 64 registers, or 72 (most_threads()), but where fewer than 80 would spill.
  if (holding(spec) != Holding::shared) {
    return spec.target().major() >= 12 && spec.get("4over6") != "off" ? 1 : 2;
  }
  return spec.get("4over6") != "off" || spec.get("order") == "unrounded" ? 1 : 2;
}

// Beside a copied row in registers there are the weights, twice as many bytes; beside another its residual.
std::uint32_t max_dynamic_shared(const KernelSpec& spec) {
  const RowShape& shape = row_shape(spec);
  if (holding(spec) == Holding::copied) {
    return static_cast<std::uint32_t>(most_columns(spec) * (adds(spec) ? 4 : 2));
  }
  return shape.holding == Holding::several ? static_cast<std::uint32_t>(2 * shape.cols()) : 0;
}

void check_scale(const KernelSpec& spec, const Args& args) {
  const auto out = spec.get("out");
  if (out == "nvfp4" && per_token(spec)) {
    jit::check_inverse_scale(spec, "scale_value", args.scale_value, "1 / (448 * 6)");
  } else if (out != "mxfp8" && !per_token(spec)) {
    if (args.scale != nullptr) {
      jit::check_pointer(spec, "scale", args.scale, alignof(float));
    } else if (out == "fp8") {
      jit::check_inverse_scale(spec, "scale_value", args.scale_value, "amax / 448");
    } else {
      jit::check_encode_scale(spec, "scale_value", args.scale_value);
    }
  }
}

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_rows(spec, args.rows);
  jit::check_columns(spec, args.cols, spec.get("out") == "mxfp8" ? 32 : 16);
  jit::check_extent(spec, args.rows, args.cols);
  if (args.cols > kMostColumns) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: cols is {}; at most 2^24 are possible", spec.text(), args.cols));
  }
  if (is_exact(spec) && args.cols != row_shape(spec).cols()) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: cols is {}; row={} is for {} columns, rmsnorm_quantize_row() says "
                            "what to take, and row=shared takes any",
                            spec.text(), args.cols, spec.get("row"), row_shape(spec).cols()));
  }
  const std::int64_t most = most_columns(spec);
  if (most != 0 && args.cols > most) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: cols is {}; row={} holds at most {}, row=shared takes any",
                            spec.text(), args.cols, spec.get("row"), most));
  }
  if (!(args.eps >= 0x1p-126F) || std::isinf(args.eps)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: eps is {}; it must be positive, finite and normal", spec.text(),
                            args.eps));
  }
  check_scale(spec, args);
  if (args.rows == 0) {
    return;
  }
  jit::check_pointer(spec, "x", args.x, 32);
  jit::check_pointer(spec, "weight", args.weight, 32);
  jit::check_pointer(spec, "q", args.q, 16);
  if (spec.get("out") != "fp8") {
    jit::check_pointer(spec, "scales", args.scales, 16);
  }
  if (per_token(spec)) {
    jit::check_pointer(spec, "token_scales", args.token_scales, alignof(float));
  }
  if (adds(spec)) {
    jit::check_pointer(spec, "residual", args.residual, 32);
    jit::check_pointer(spec, "residual_out", args.residual_out, 16);
  }
  if (args.norm_out != nullptr) {
    jit::check_pointer(spec, "norm_out", args.norm_out, 16);
  }
}

// Of a row that lies in shared memory and has so many lanes. What divides kMostLanes, for copied rows of more blocks:
// a lane's blocks are one thread's.
std::int64_t blocks_per_thread(const KernelSpec& spec, std::int64_t lanes,
                               std::int64_t rows_per_multiprocessor) {
  const bool copied = holding(spec) == Holding::copied;
  if (copied && adds(spec)) {
    const bool four_over_six = spec.get("4over6") != "off";
    return rows_per_multiprocessor < (four_over_six ? kMany4over6Rows : kManyResidualRows)
               ? kFewBlocksPerThread
               : kBlocksPerThread;
  }
  const bool nvfp4 =
      is_plain_nvfp4(spec) || (copied && spec.get("out") == "nvfp4" && !per_token(spec));
  return rows_per_multiprocessor >= kVeryManyRows && lanes < kMostLanes && nvfp4
             ? kMostBlocksPerThread
             : kBlocksPerThread;
}

LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts& device) {
  constexpr std::int64_t kMostGridX = std::int64_t{1} << 30;
  const auto& args = *static_cast<const Args*>(pointer);
  LaunchShape shape;
  if (args.rows == 0) {
    shape.empty = true;
    return shape;
  }
  const std::int64_t rows = jit::scale_extent(spec.get("layout"), args.rows, 4).rows;
  // The order of summation, see the contract, does not depend on the threads. A thread for each block gives
  // a row's result soonest, fewer with several blocks each take less of a multiprocessor in all.
  const std::int64_t lanes =
      std::min(kMostLanes, jit::round_up((args.cols + kBlock - 1) / kBlock, 32));
  const Holding held = holding(spec);
  const bool few = args.rows <= 2 * std::int64_t{device.multiprocessors};
  const std::int64_t blocks = blocks_per_thread(spec, lanes, args.rows / device.multiprocessors);
  const std::int64_t threads =
      is_exact(spec) ? row_shape(spec).threads
      : few || held == Holding::one_block
          ? (lanes <= most_threads(spec) ? lanes : kMostLanes / 2)
          : std::clamp<std::int64_t>(jit::round_up(lanes / blocks, 32), 32, lanes);
  const bool rows_share =
      held == Holding::shared && threads == 32 && rows >= kRowsPerCta * device.multiprocessors;
  const std::int64_t rows_per_cta = rows_share ? kRowsPerCta : 1;
  shape.block[0] = static_cast<std::uint32_t>(threads);
  shape.block[1] = static_cast<std::uint32_t>(rows_per_cta);
  const std::int64_t held_rows = held == Holding::copied && adds(spec) ? 2 : rows_per_cta;
  if (is_copied(spec) || (held == Holding::shared && args.cols <= kMostHeldColumns)) {
    shape.dynamic_shared_bytes = static_cast<std::uint32_t>(held_rows * args.cols * 2);
  }
  // Where a CTA takes several rows each takes its part.
  const std::int64_t ctas =
      held == Holding::several
          ? std::min(rows,
                     whole_tiles(spec, std::int64_t{copying_ctas(spec)} * device.multiprocessors))
          : (rows + rows_per_cta - 1) / rows_per_cta;
  jit::set_ctas(shape, ctas, kMostGridX);
  return shape;
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto rows = static_cast<std::size_t>(args.rows);
  const auto cols = static_cast<std::size_t>(args.cols);
  const auto out = spec.get("out");
  std::vector<BufferRegion> list{
      {"x", args.x, rows * cols * 2, Access::read},
      {"weight", args.weight, cols * 2, Access::read},
      {"q", args.q, rows * cols / (out == "nvfp4" ? 2 : 1), Access::write}};
  if (adds(spec)) {
    list.push_back({"residual", args.residual, rows * cols * 2, Access::read});
    list.push_back({"residual_out", args.residual_out, rows * cols * 2, Access::write});
  }
  if (args.norm_out != nullptr) {
    list.push_back({"norm_out", args.norm_out, rows * cols * 2, Access::write});
  }
  if (out != "fp8") {
    list.push_back({"scales", args.scales,
                    rmsnorm_quantize_scale_bytes(out, spec.get("layout"), args.rows, args.cols),
                    Access::write});
  }
  if (per_token(spec)) {
    list.push_back({"token_scales", args.token_scales, rows * sizeof(float), Access::write});
  } else if (args.scale != nullptr) {
    list.push_back({"scale", args.scale, sizeof(float), Access::read});
  }
  return list;
}

}  // namespace

std::size_t rmsnorm_quantize_scale_bytes(std::string_view out, std::string_view layout,
                                         std::int64_t rows, std::int64_t cols) {
  if (out == "fp8") {
    return 0;
  }
  if (out != "nvfp4" && out != "mxfp8") {
    throw Error(ErrorKind::invalid_spec,
                fmt::format("unknown output \"{}\"; known: nvfp4, mxfp8, fp8", out));
  }
  const auto extent = jit::scale_extent(layout, rows, cols / (out == "nvfp4" ? 16 : 32));
  return static_cast<std::size_t>(extent.rows * extent.columns);
}

const OpDefinition& rmsnorm_quantize_op() {
  static constexpr OpDefinition kOp{
      .name = Args::kOp,
      .summary = "RMSNorm, with the addition of a residual, quantized to NVFP4, MXFP8 or FP8",
      .axes = kAxes,
      .template_file = "rmsnorm_quantize.cuh",
      .entry_function = "rmsnorm_quantize_kernel",
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
