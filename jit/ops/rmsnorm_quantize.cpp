#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/rmsnorm_quantize.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/quantize_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

namespace fourge {
namespace {

constexpr std::int64_t kBlock = 16;
constexpr std::int64_t kMostLanes = 512;
// Of many rows, and of very many to NVFP4, where instructions are what counts.
constexpr std::int64_t kBlocksPerThread = 4;
constexpr std::int64_t kMostBlocksPerThread = 7;
constexpr std::int64_t kVeryManyRows = 64;  // a multiprocessor
constexpr std::int64_t kFewRows = 2;        // likewise, between the kinds of rows in registers
// A row of so many lies in shared memory, a longer one is read again: norm_row.cuh. With the static part it is within
// the 48 KiB that every launch may have.
constexpr std::int64_t kMostHeldColumns = 23040;
constexpr std::int64_t kMostColumns = std::int64_t{1} << 24;
// Rows of one warp each that share a CTA, if there are enough of them for all multiprocessors.
constexpr std::int64_t kRowsPerCta = 4;

constexpr AxisValue kResidualValues[] = {
    {"none", "fourge_device::Residual::none", "the norm of x"},
    {"add", "fourge_device::Residual::add", "the norm of x + residual, which is stored too"}};

// Rows in registers, which are as long as their threads have blocks. For how many CTAs a multiprocessor shares out
// registers is found by compiling: the fewest that spill nothing.
struct RowShape {
  std::string_view text;
  std::int64_t threads;
  std::int64_t blocks;  // a thread
  int min_ctas;
  // A CTA takes several rows, which are copied to shared memory by cp.async.bulk.
  bool copied = false;

  constexpr std::int64_t cols() const { return kBlock * threads * blocks; }
};
constexpr RowShape kRowShapes[] = {
    {"shared", kMostLanes, 0, 2}, {"64x4", 64, 4, 10},        {"64x5", 64, 5, 8},
    {"64x7", 64, 7, 8},           {"64x8", 64, 8, 8},         {"256x1", 256, 1, 6},
    {"320x1", 320, 1, 4},         {"448x1", 448, 1, 3},       {"512x1", 512, 1, 3},
    {"128x2", 128, 2, 7, true},   {"160x2", 160, 2, 5, true}, {"224x2", 224, 2, 4, true},
    {"256x2", 256, 2, 3, true}};

constexpr AxisValue kRowValues[] = {
    {"shared", "fourge_device::RowShape{}", "any number of columns; a row lies in shared memory"},
    {"64x4", "fourge_device::RowShape{64, 4}", "4096 columns; 64 threads hold 4 blocks each"},
    {"64x5", "fourge_device::RowShape{64, 5}", "5120 columns; 64 threads hold 5 blocks each"},
    {"64x7", "fourge_device::RowShape{64, 7}", "7168 columns; 64 threads hold 7 blocks each"},
    {"64x8", "fourge_device::RowShape{64, 8}", "8192 columns; 64 threads hold 8 blocks each"},
    {"256x1", "fourge_device::RowShape{256, 1}", "4096 columns; 256 threads hold a block each"},
    {"320x1", "fourge_device::RowShape{320, 1}", "5120 columns; 320 threads hold a block each"},
    {"448x1", "fourge_device::RowShape{448, 1}", "7168 columns; 448 threads hold a block each"},
    {"512x1", "fourge_device::RowShape{512, 1}", "8192 columns; 512 threads hold a block each"},
    {"128x2", "fourge_device::RowShape{128, 2, true}",
     "4096 columns; 128 threads hold 2 blocks each, while the next row is copied; sm_90 and later"},
    {"160x2", "fourge_device::RowShape{160, 2, true}",
     "5120 columns; 160 threads hold 2 blocks each, while the next row is copied; sm_90 and later"},
    {"224x2", "fourge_device::RowShape{224, 2, true}",
     "7168 columns; 224 threads hold 2 blocks each, while the next row is copied; sm_90 and later"},
    {"256x2", "fourge_device::RowShape{256, 2, true}",
     "8192 columns; 256 threads hold 2 blocks each, while the next row is copied; sm_90 and "
     "later"}};

constexpr std::size_t kRow = 8;  // of the axes

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

bool adds(const KernelSpec& spec) { return spec.get("residual") == "add"; }
bool per_token(const KernelSpec& spec) { return spec.get("scale") == "token"; }

bool is_plain_nvfp4(const KernelSpec& spec) {
  return spec.get("out") == "nvfp4" && !per_token(spec) && spec.get("4over6") == "off" &&
         spec.get("order") == "rounded" && !adds(spec);
}

const RowShape& row_shape(const KernelSpec& spec) { return kRowShapes[spec.index(kRow)]; }
bool in_registers(const KernelSpec& spec) { return row_shape(spec).blocks != 0; }

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
  if (in_registers(spec) && !is_plain_nvfp4(spec)) {
    return fmt::format(
        "row={} is for out=nvfp4 with scale=tensor, 4over6=off, order=rounded and residual=none; "
        "take row=shared",
        spec.get("row"));
  }
  if (row_shape(spec).copied && !spec.target().features().bulk_copy) {
    return fmt::format(
        "row={} needs bulk copies, which {} has not (sm_90 and later have); take row=shared, or a "
        "row in registers of {} columns",
        spec.get("row"), spec.target().text(), row_shape(spec).cols());
  }
  return {};
}

int block_threads(const KernelSpec& spec) { return static_cast<int>(row_shape(spec).threads); }

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
  if (in_registers(spec)) {
    const RowShape& shape = row_shape(spec);
    if (shape.copied) {
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
  return spec.get("4over6") != "off" || spec.get("order") == "unrounded" ? 1 : 2;
}

// Beside a copied row there are the weights, twice as many bytes.
std::uint32_t max_dynamic_shared(const KernelSpec& spec) {
  const RowShape& shape = row_shape(spec);
  return shape.copied ? static_cast<std::uint32_t>(2 * shape.cols()) : 0;
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
  if (in_registers(spec) && args.cols != row_shape(spec).cols()) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: cols is {}; row={} is for {} columns, rmsnorm_quantize_row() says "
                            "what to take, and row=shared takes any",
                            spec.text(), args.cols, spec.get("row"), row_shape(spec).cols()));
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
  const bool few = args.rows <= 2 * std::int64_t{device.multiprocessors};
  const bool very_many = args.rows >= kVeryManyRows * device.multiprocessors &&
                         lanes < kMostLanes && is_plain_nvfp4(spec);
  const std::int64_t blocks = very_many ? kMostBlocksPerThread : kBlocksPerThread;
  const std::int64_t threads =
      in_registers(spec) ? row_shape(spec).threads
      : few              ? lanes
                         : std::clamp<std::int64_t>(jit::round_up(lanes / blocks, 32), 32, lanes);
  const bool several = threads == 32 && rows >= kRowsPerCta * device.multiprocessors;
  const std::int64_t rows_per_cta = several ? kRowsPerCta : 1;
  shape.block[0] = static_cast<std::uint32_t>(threads);
  shape.block[1] = static_cast<std::uint32_t>(rows_per_cta);
  const bool copied = row_shape(spec).copied;
  shape.dynamic_shared_bytes = args.cols > kMostHeldColumns || (in_registers(spec) && !copied)
                                   ? 0
                                   : static_cast<std::uint32_t>(rows_per_cta * args.cols * 2);
  // Of rows that are copied each CTA takes its part.
  const std::int64_t ctas =
      copied ? std::min(rows, whole_tiles(
                                  spec, std::int64_t{copying_ctas(spec)} * device.multiprocessors))
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

std::int64_t rmsnorm_quantize_columns(const KernelSpec& spec) {
  if (spec.op().name != Args::kOp) {
    throw Error(ErrorKind::invalid_spec,
                fmt::format("{} does not name a variant of {}", spec.text(), Args::kOp));
  }
  return in_registers(spec) ? row_shape(spec).cols() : 0;
}

namespace {

// From so many rows a multiprocessor on they are taken the quickest by the fewest threads each.
std::int64_t many_rows(const KernelSpec& spec, std::int64_t cols) {
  if (cols == 4096) {
    return 250;  // not seen up to 124
  }
  return spec.get("layout") == "linear" ? 62 : spec.get("layout") == "8x4" ? 74 : 92;
}

}  // namespace

// Measured on an H200. So few rows are done soonest with a block a thread, many with the fewest threads, and between
// them where loads and work overlap from the first row on.
std::string_view rmsnorm_quantize_row(const KernelSpec& spec, std::int64_t rows, std::int64_t cols,
                                      const DeviceFacts& device) {
  const std::int64_t per_multiprocessor = rows / std::max(device.multiprocessors, 1);
  const auto row = [&](bool copied, bool few) {
    for (const RowShape& shape : kRowShapes) {
      KernelSpec chosen = spec;
      if (shape.blocks != 0 && shape.cols() == cols && shape.copied == copied &&
          (shape.blocks == 1) == few && refusal(chosen.set("row", shape.text)).empty()) {
        return shape.text;
      }
    }
    return kRowShapes[0].text;
  };
  if (per_multiprocessor >= kFewRows && per_multiprocessor < many_rows(spec, cols)) {
    if (const auto copied = row(true, false); copied != kRowShapes[0].text) {
      return copied;
    }
  }
  return row(false, per_multiprocessor < kFewRows);
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
