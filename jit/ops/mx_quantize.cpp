#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/mx_quantize.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/common_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>

namespace fourge {
namespace {

constexpr std::int64_t kBlock = 32;
// Halves of blocks are counted in 32 bits.
constexpr std::int64_t kMostColumns = std::int64_t{1} << 34;

enum AxisIndex : std::size_t { kIn, kLayout, kTokensPerCta };

constexpr Axis kAxes[] = {jit::kInput16Axis, jit::kScaleLayoutAxis, jit::kTokensPerCtaAxis};

constexpr Param kMxfp4Params[] = {
    {"x", "const void*", offsetof(Mxfp4QuantizeArgs, x), sizeof(Mxfp4QuantizeArgs::x)},
    {"codes", "unsigned char*", offsetof(Mxfp4QuantizeArgs, codes),
     sizeof(Mxfp4QuantizeArgs::codes)},
    {"scales", "unsigned char*", offsetof(Mxfp4QuantizeArgs, scales),
     sizeof(Mxfp4QuantizeArgs::scales)},
    {"rows", "long long", offsetof(Mxfp4QuantizeArgs, rows), sizeof(Mxfp4QuantizeArgs::rows)},
    {"cols", "long long", offsetof(Mxfp4QuantizeArgs, cols), sizeof(Mxfp4QuantizeArgs::cols)}};

constexpr Param kMxfp8Params[] = {
    {"x", "const void*", offsetof(Mxfp8QuantizeArgs, x), sizeof(Mxfp8QuantizeArgs::x)},
    {"data", "unsigned char*", offsetof(Mxfp8QuantizeArgs, data), sizeof(Mxfp8QuantizeArgs::data)},
    {"scales", "unsigned char*", offsetof(Mxfp8QuantizeArgs, scales),
     sizeof(Mxfp8QuantizeArgs::scales)},
    {"rows", "long long", offsetof(Mxfp8QuantizeArgs, rows), sizeof(Mxfp8QuantizeArgs::rows)},
    {"cols", "long long", offsetof(Mxfp8QuantizeArgs, cols), sizeof(Mxfp8QuantizeArgs::cols)},
    {"padded_cols", "long long", offsetof(Mxfp8QuantizeArgs, padded_cols),
     sizeof(Mxfp8QuantizeArgs::padded_cols)}};

// What the two operations' arguments say about the call.
struct Call {
  const void* x;
  std::string_view output_name;
  const std::uint8_t* output;
  std::size_t output_bytes_per_row;
  const std::uint8_t* scales;
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t padded_cols;
};

Call describe(const Mxfp4QuantizeArgs& a) {
  return {a.x,      "codes", a.codes, static_cast<std::size_t>(a.cols / 2),
          a.scales, a.rows,  a.cols,  a.cols};
}

Call describe(const Mxfp8QuantizeArgs& a) {
  return {a.x,      "data", a.data, static_cast<std::size_t>(a.padded_cols),
          a.scales, a.rows, a.cols, a.padded_cols};
}

template <class Args>
Call call_of(const void* pointer) {
  return describe(*static_cast<const Args*>(pointer));
}

std::string refusal(const KernelSpec&) { return {}; }

int block_threads(const KernelSpec&) { return jit::kRowLaunchThreads; }

// As the template says: MXFP8 of a single row.
bool takes_half_blocks(const KernelSpec& spec) {
  return spec.op().name == Mxfp8QuantizeArgs::kOp && spec.index(kTokensPerCta) == 0;
}

// As the template says: MXFP4 with tiled scales.
bool takes_tiles(const KernelSpec& spec) {
  return spec.op().name == Mxfp4QuantizeArgs::kOp && spec.index(kLayout) != 0;
}

// Half a block a thread: 32 registers, so that a multiprocessor with room for 2048 threads has them all. With tpc=4
// at most 96 where the compiler stops at 80 and spills.
int mxfp8_min_ctas(const KernelSpec& spec) {
  const int major = spec.target().major();
  if (takes_half_blocks(spec)) {
    return major == 9 || major == 10 ? 16 : 0;
  }
  const bool spills = spec.target().text() == "sm_86" && spec.get("layout") == "8x4";
  return spills && spec.get("tpc") == "4" ? 5 : 0;
}

// MXFP4 of a single row. More registers than the compiler takes by itself, 64 and 56 instead of 40, let it order the
// work better, which took 3 to 5% off on an H200.
int mxfp4_min_ctas(const KernelSpec& spec) {
  if (spec.index(kTokensPerCta) != 0 || spec.target().major() != 9) {
    return 0;
  }
  return takes_tiles(spec) ? 9 : 8;
}

template <class Args>
void check_args(const KernelSpec& spec, const void* pointer) {
  const Call call = call_of<Args>(pointer);
  jit::check_rows(spec, call.rows);
  jit::check_columns(spec, call.cols, kBlock);
  if (call.padded_cols < call.cols || call.padded_cols % kBlock != 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: padded_cols is {}; it must be a multiple of {} and not less than "
                            "cols, {} (equal to cols for no padding)",
                            spec.text(), call.padded_cols, kBlock, call.cols));
  }
  jit::check_extent(spec, call.rows, call.padded_cols);
  if (call.padded_cols > kMostColumns) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: {} columns with padding; at most {}", spec.text(),
                            call.padded_cols, kMostColumns));
  }
  if (call.rows == 0) {
    return;
  }
  jit::check_pointer(spec, "x", call.x, 32);
  jit::check_pointer(spec, call.output_name, call.output, 16);
  jit::check_pointer(spec, "scales", call.scales, 16);
}

template <class Args>
LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts&) {
  const Call call = call_of<Args>(pointer);
  if (call.rows == 0) {
    LaunchShape nothing;
    nothing.empty = true;
    return nothing;
  }
  const auto extent = jit::scale_extent(spec.index(kLayout), call.rows, call.padded_cols / kBlock);
  const std::int64_t units = extent.columns * (takes_half_blocks(spec) ? 2 : 1);
  if (spec.index(kTokensPerCta) == 0) {
    const bool flat = spec.index(kLayout) == 0 && call.padded_cols == call.cols;
    return flat                ? jit::flat_launch(units * extent.rows)
           : takes_tiles(spec) ? jit::tile_launch(units, extent.rows)
                               : jit::row_by_row_launch(units, extent.rows);
  }
  return jit::row_launch(units, extent.rows, std::int64_t{1} << spec.index(kTokensPerCta));
}

template <class Args>
std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const Call call = call_of<Args>(pointer);
  const auto rows = static_cast<std::size_t>(call.rows);
  return {{"x", call.x, rows * static_cast<std::size_t>(call.cols) * 2, Access::read},
          {call.output_name, call.output, rows * call.output_bytes_per_row, Access::write},
          {"scales", call.scales, mx_scale_bytes(spec.get("layout"), call.rows, call.padded_cols),
           Access::write}};
}

}  // namespace

std::size_t mx_scale_bytes(std::string_view layout, std::int64_t rows, std::int64_t cols) {
  const auto extent = jit::scale_extent(layout, rows, cols / kBlock);
  return static_cast<std::size_t>(extent.rows) * static_cast<std::size_t>(extent.columns);
}

const OpDefinition& mxfp4_quantize_op() {
  static constexpr OpDefinition kOp{
      .name = Mxfp4QuantizeArgs::kOp,
      .summary = "32-element blocks of E2M1 with power-of-two (UE8M0) block scales",
      .axes = kAxes,
      .template_file = "mxfp4_quantize.cuh",
      .entry_function = "mxfp4_quantize_kernel",
      .params = kMxfp4Params,
      .args_size = sizeof(Mxfp4QuantizeArgs),
      .block_threads = block_threads,
      .refusal = refusal,
      .check_args = check_args<Mxfp4QuantizeArgs>,
      .launch_shape = launch_shape<Mxfp4QuantizeArgs>,
      .regions = regions<Mxfp4QuantizeArgs>,
      .min_ctas = mxfp4_min_ctas};
  return kOp;
}

const OpDefinition& mxfp8_quantize_op() {
  static constexpr OpDefinition kOp{
      .name = Mxfp8QuantizeArgs::kOp,
      .summary = "32-element blocks of E4M3 with power-of-two (UE8M0) block scales, columns padded",
      .axes = kAxes,
      .template_file = "mxfp8_quantize.cuh",
      .entry_function = "mxfp8_quantize_kernel",
      .params = kMxfp8Params,
      .args_size = sizeof(Mxfp8QuantizeArgs),
      .block_threads = block_threads,
      .refusal = refusal,
      .check_args = check_args<Mxfp8QuantizeArgs>,
      .launch_shape = launch_shape<Mxfp8QuantizeArgs>,
      .regions = regions<Mxfp8QuantizeArgs>,
      .min_ctas = mxfp8_min_ctas};
  return kOp;
}

}  // namespace fourge
