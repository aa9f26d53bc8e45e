#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/scale_interleave.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/common_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace fourge {
namespace {

constexpr int kThreads = 128;

constexpr AxisValue kLayoutValues[] = {jit::kScaleLayoutValues[1], jit::kScaleLayoutValues[2]};
constexpr Axis kAxes[] = {{"layout", "kLayout", "the tiled layout", kLayoutValues}};

template <class Args>
struct Order;  // which of the two buffers comes first
template <>
struct Order<ScaleInterleaveArgs> {
  static constexpr Access kLinear = Access::read;
  static constexpr Access kTiled = Access::write;
  static constexpr const char* kLinearType = "const unsigned char*";
  static constexpr const char* kTiledType = "unsigned char*";
};
template <>
struct Order<ScaleDeinterleaveArgs> {
  static constexpr Access kLinear = Access::write;
  static constexpr Access kTiled = Access::read;
  static constexpr const char* kLinearType = "unsigned char*";
  static constexpr const char* kTiledType = "const unsigned char*";
};

template <class Args>
constexpr Param kLinearParam = {"linear", Order<Args>::kLinearType, offsetof(Args, linear),
                                sizeof(Args::linear)};
template <class Args>
constexpr Param kTiledParam = {"tiled", Order<Args>::kTiledType, offsetof(Args, tiled),
                               sizeof(Args::tiled)};
template <class Args>
constexpr bool kLinearFirst = Order<Args>::kLinear == Access::read;

template <class Args>
constexpr Param kParams[] = {
    kLinearFirst<Args> ? kLinearParam<Args> : kTiledParam<Args>,
    kLinearFirst<Args> ? kTiledParam<Args> : kLinearParam<Args>,
    {"rows", "long long", offsetof(Args, rows), sizeof(Args::rows)},
    {"columns", "long long", offsetof(Args, columns), sizeof(Args::columns)},
    {"batches", "long long", offsetof(Args, batches), sizeof(Args::batches)}};

std::string refusal(const KernelSpec&) { return {}; }
int block_threads(const KernelSpec&) { return kThreads; }

template <class Args>
bool is_empty(const Args& args) {
  return args.rows == 0 || args.batches == 0;
}

template <class Args>
void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_rows(spec, args.rows);
  if (args.columns <= 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: columns is {}; it must be positive: the scales in a row",
                            spec.text(), args.columns));
  }
  jit::check_batches(spec, args.batches, args.rows, args.columns);
  if (is_empty(args)) {
    return;
  }
  jit::check_pointer(spec, "linear", args.linear, 16);
  jit::check_pointer(spec, "tiled", args.tiled, 16);
}

// A thread takes four rows and four columns; two neighbouring ones take two groups of rows.
template <class Args>
LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts&) {
  constexpr std::int64_t kMostGridYZ = 65535;
  const auto& args = *static_cast<const Args*>(pointer);
  LaunchShape shape;
  if (is_empty(args)) {
    shape.empty = true;
    return shape;
  }
  const auto extent = jit::scale_extent(spec.get("layout"), args.rows, args.columns);
  const std::int64_t units = extent.columns / 4 * 2;
  const std::int64_t threads = std::min<std::int64_t>(kThreads, jit::round_up(units, 32));
  shape.block[0] = static_cast<std::uint32_t>(threads);
  shape.grid[0] = static_cast<std::uint32_t>((units + threads - 1) / threads);
  shape.grid[1] = static_cast<std::uint32_t>(std::min(kMostGridYZ, extent.rows / 8));
  shape.grid[2] = static_cast<std::uint32_t>(std::min(kMostGridYZ, args.batches));
  return shape;
}

template <class Args>
std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto batches = static_cast<std::size_t>(args.batches);
  const auto scales =
      batches * static_cast<std::size_t>(args.rows) * static_cast<std::size_t>(args.columns);
  return {{"linear", args.linear, scales, Order<Args>::kLinear},
          {"tiled", args.tiled,
           batches * tiled_scale_bytes(spec.get("layout"), args.rows, args.columns),
           Order<Args>::kTiled}};
}

}  // namespace

std::size_t tiled_scale_bytes(std::string_view layout, std::int64_t rows, std::int64_t columns) {
  if (layout == "linear") {
    throw Error(ErrorKind::invalid_spec,
                "the layout \"linear\" has no tiles; tiled are 128x4 and 8x4");
  }
  const auto extent = jit::scale_extent(layout, rows, columns);
  return static_cast<std::size_t>(extent.rows) * static_cast<std::size_t>(extent.columns);
}

const OpDefinition& scale_interleave_op() {
  static constexpr OpDefinition kOp{.name = ScaleInterleaveArgs::kOp,
                                    .summary = "block scales from the linear to a tiled layout",
                                    .axes = kAxes,
                                    .template_file = "scale_interleave.cuh",
                                    .entry_function = "scale_interleave_kernel",
                                    .params = kParams<ScaleInterleaveArgs>,
                                    .args_size = sizeof(ScaleInterleaveArgs),
                                    .block_threads = block_threads,
                                    .refusal = refusal,
                                    .check_args = check_args<ScaleInterleaveArgs>,
                                    .launch_shape = launch_shape<ScaleInterleaveArgs>,
                                    .regions = regions<ScaleInterleaveArgs>};
  return kOp;
}

const OpDefinition& scale_deinterleave_op() {
  static constexpr OpDefinition kOp{.name = ScaleDeinterleaveArgs::kOp,
                                    .summary = "block scales from a tiled to the linear layout",
                                    .axes = kAxes,
                                    .template_file = "scale_deinterleave.cuh",
                                    .entry_function = "scale_deinterleave_kernel",
                                    .params = kParams<ScaleDeinterleaveArgs>,
                                    .args_size = sizeof(ScaleDeinterleaveArgs),
                                    .block_threads = block_threads,
                                    .refusal = refusal,
                                    .check_args = check_args<ScaleDeinterleaveArgs>,
                                    .launch_shape = launch_shape<ScaleDeinterleaveArgs>,
                                    .regions = regions<ScaleDeinterleaveArgs>};
  return kOp;
}

}  // namespace fourge
