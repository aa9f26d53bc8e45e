#include <fourge/error.hpp>
#include <fourge/fp8_quantize.hpp>
#include <fourge/kernel_spec.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/common_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

namespace fourge {
namespace {

constexpr std::int64_t kBlock = 128;
constexpr std::int64_t kThreadColumns = 16;  // what a thread loads at once
constexpr std::int64_t kTransposedRows = 4;  // storage=transposed has whole groups of so many
constexpr int kTileThreads = 256;
// 1x128: so few blocks take a warp each, in CTAs of so many threads, by which the template knows them.
constexpr std::int64_t kMostFewBlocks = 8192;
constexpr int kFewThreads = 256;

enum RowAxisIndex : std::size_t { kStorage = 2, kTokensPerCta };

constexpr AxisValue kScaleValues[] = {
    {"f32", "fourge_device::Fp8Scale::f32", "the quotient max(a, eps) / 448"},
    {"pow2", "fourge_device::Fp8Scale::pow2", "rounded up to a power of two"}};
constexpr Axis kScaleAxis = {"scale", "kScale", "which numbers scales are", kScaleValues};

constexpr AxisValue kStorageValues[] = {
    {"row_major", "fourge_device::Fp8Storage::row_major", "[rows][column blocks]"},
    {"transposed", "fourge_device::Fp8Storage::transposed",
     "[column blocks][rows rounded up to 4], padding zero"}};

constexpr Axis kRowAxes[] = {
    jit::kInput16Axis,
    kScaleAxis,
    {"storage", "kStorage", "order of the scales in memory", kStorageValues},
    jit::kTokensPerCtaAxis};
constexpr Axis kTileAxes[] = {jit::kInput16Axis, kScaleAxis};

std::int64_t blocks(std::int64_t extent) { return (extent + kBlock - 1) / kBlock; }

// Rows of the matrix of 1x128 scales, padding included.
std::int64_t scale_rows(std::string_view storage, std::int64_t rows) {
  if (storage == "row_major") {
    return rows;
  }
  if (storage == "transposed") {
    return jit::round_up(rows, kTransposedRows);
  }
  throw Error(ErrorKind::invalid_spec,
              fmt::format("unknown scale storage \"{}\"; known: row_major, transposed", storage));
}

std::string refusal(const KernelSpec&) { return {}; }

template <class Args>
constexpr Param kParams[] = {{"x", "const void*", offsetof(Args, x), sizeof(Args::x)},
                             {"data", "unsigned char*", offsetof(Args, data), sizeof(Args::data)},
                             {"scales", "float*", offsetof(Args, scales), sizeof(Args::scales)},
                             {"rows", "long long", offsetof(Args, rows), sizeof(Args::rows)},
                             {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)},
                             {"eps", "float", offsetof(Args, eps), sizeof(Args::eps)}};

template <class Args>
void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_rows(spec, args.rows);
  if (args.cols <= 0 || args.cols % kThreadColumns != 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: cols is {}; it must be a positive multiple of {}, so that rows of "
                            "data are aligned to {} bytes",
                            spec.text(), args.cols, kThreadColumns, kThreadColumns));
  }
  jit::check_extent(spec, args.rows, args.cols);
  constexpr float kLeastEps = 0x1p-117F;
  if (!(args.eps >= kLeastEps) || std::isinf(args.eps)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: eps is {}; it must be finite and at least 2^-117 ({}), so that no "
                            "scale is zero (usually 1e-4)",
                            spec.text(), args.eps, kLeastEps));
  }
  if (args.rows == 0) {
    return;
  }
  jit::check_pointer(spec, "x", args.x, 32);
  jit::check_pointer(spec, "data", args.data, 16);
  jit::check_pointer(spec, "scales", args.scales, 16);
}

template <class Args>
std::vector<BufferRegion> regions_of(const Args& args, std::size_t scale_count) {
  const auto elements = static_cast<std::size_t>(args.rows) * static_cast<std::size_t>(args.cols);
  return {{"x", args.x, elements * 2, Access::read},
          {"data", args.data, elements, Access::write},
          {"scales", args.scales, scale_count * sizeof(float), Access::write}};
}

LaunchShape nothing() {
  LaunchShape shape;
  shape.empty = true;
  return shape;
}

// 1x128, one row at a time, scales in the order of the blocks.
bool may_be_flat(const KernelSpec& spec) {
  return spec.index(kStorage) == 0 && spec.index(kTokensPerCta) == 0;
}

int row_block_threads(const KernelSpec& spec) {
  return may_be_flat(spec) ? kFewThreads : jit::kRowLaunchThreads;
}

// 1x128: eight threads a block, or a warp.
LaunchShape row_launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts&) {
  const auto& args = *static_cast<const Fp8Quantize1x128Args*>(pointer);
  if (args.rows == 0) {
    return nothing();
  }
  const std::int64_t units = blocks(args.cols) * (kBlock / kThreadColumns);
  if (may_be_flat(spec) && args.cols % kBlock == 0) {
    const std::int64_t all = args.rows * blocks(args.cols);
    if (all > kMostFewBlocks) {
      return jit::flat_launch(units * args.rows);
    }
    LaunchShape shape;
    shape.block[0] = kFewThreads;
    shape.grid[0] = static_cast<std::uint32_t>((all * 32 + kFewThreads - 1) / kFewThreads);
    return shape;
  }
  const std::int64_t rows =
      spec.index(kStorage) == 0 ? args.rows : jit::round_up(args.rows, kTransposedRows);
  return spec.index(kTokensPerCta) == 0
             ? jit::row_by_row_launch(units, rows)
             : jit::row_launch(units, rows, std::int64_t{1} << spec.index(kTokensPerCta));
}

// 128x128: a CTA a tile; grid y strides over the rows of tiles.
LaunchShape tile_launch_shape(const KernelSpec&, const void* pointer, const DeviceFacts&) {
  const auto& args = *static_cast<const Fp8Quantize128x128Args*>(pointer);
  if (args.rows == 0) {
    return nothing();
  }
  // More CTAs than run at once on any device, so that a loop over more costs nothing.
  constexpr std::int64_t kMostGridY = 4096;
  LaunchShape shape;
  shape.block[0] = kTileThreads;
  shape.grid[0] = static_cast<std::uint32_t>(blocks(args.cols));
  shape.grid[1] = static_cast<std::uint32_t>(std::min(kMostGridY, blocks(args.rows)));
  return shape;
}

std::vector<BufferRegion> row_regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Fp8Quantize1x128Args*>(pointer);
  return regions_of(args, fp8_scale_count_1x128(spec.get("storage"), args.rows, args.cols));
}

std::vector<BufferRegion> tile_regions(const KernelSpec&, const void* pointer) {
  const auto& args = *static_cast<const Fp8Quantize128x128Args*>(pointer);
  return regions_of(args, fp8_scale_count_128x128(args.rows, args.cols));
}

}  // namespace

std::size_t fp8_scale_count_1x128(std::string_view storage, std::int64_t rows, std::int64_t cols) {
  return static_cast<std::size_t>(scale_rows(storage, rows)) *
         static_cast<std::size_t>(blocks(cols));
}

std::size_t fp8_scale_count_128x128(std::int64_t rows, std::int64_t cols) {
  return static_cast<std::size_t>(blocks(rows)) * static_cast<std::size_t>(blocks(cols));
}

const OpDefinition& fp8_quantize_1x128_op() {
  using Args = Fp8Quantize1x128Args;
  static constexpr OpDefinition kOp{.name = Args::kOp,
                                    .summary = "E4M3 with one FP32 scale for 128 elements of a row",
                                    .axes = kRowAxes,
                                    .template_file = "fp8_quantize_1x128.cuh",
                                    .entry_function = "fp8_quantize_1x128_kernel",
                                    .params = kParams<Args>,
                                    .args_size = sizeof(Args),
                                    .block_threads = row_block_threads,
                                    .refusal = refusal,
                                    .check_args = check_args<Args>,
                                    .launch_shape = row_launch_shape,
                                    .regions = row_regions};
  return kOp;
}

const OpDefinition& fp8_quantize_128x128_op() {
  using Args = Fp8Quantize128x128Args;
  static constexpr OpDefinition kOp{
      .name = Args::kOp,
      .summary = "E4M3 with one FP32 scale for a tile of 128 rows and 128 columns",
      .axes = kTileAxes,
      .template_file = "fp8_quantize_128x128.cuh",
      .entry_function = "fp8_quantize_128x128_kernel",
      .params = kParams<Args>,
      .args_size = sizeof(Args),
      .block_threads = [](const KernelSpec&) { return kTileThreads; },
      .refusal = refusal,
      .check_args = check_args<Args>,
      .launch_shape = tile_launch_shape,
      .regions = tile_regions};
  return kOp;
}

}  // namespace fourge
