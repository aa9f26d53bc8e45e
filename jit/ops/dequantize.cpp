#include <fourge/dequantize.hpp>
#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/common_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace fourge {
namespace {

constexpr std::int64_t kElementsOfThread = 8;

constexpr AxisValue kScaleValues[] = {
    {"tensor", "fourge_device::ScaleMode::tensor", "one decode scale for the tensor"},
    {"row", "fourge_device::ScaleMode::row", "one decode scale a row"},
    {"tensor_inv", "fourge_device::ScaleMode::tensor_inv", "one for the tensor, given as 1/g"},
    {"row_inv", "fourge_device::ScaleMode::row_inv", "one a row, given as 1/g"}};
enum ScaleIndex : std::size_t { kTensor, kRow, kTensorInverse, kRowInverse };

constexpr Axis kMxAxes[] = {jit::kOutputFloatAxis, jit::kScaleLayoutAxis, jit::kTokensPerCtaAxis};
constexpr Axis kNvfp4Axes[] = {
    jit::kOutputFloatAxis,
    jit::kScaleLayoutAxis,
    jit::kTokensPerCtaAxis,
    {"scale", "kScaleMode", "what the global scale covers", kScaleValues}};
enum AxisIndex : std::size_t { kOut, kLayout, kTokensPerCta, kScale };

using Nvfp4 = Nvfp4DequantizeArgs;
using Mxfp4 = Mxfp4DequantizeArgs;
using Mxfp8 = Mxfp8DequantizeArgs;

constexpr Param kNvfp4Params[] = {
    {"codes", "const unsigned char*", offsetof(Nvfp4, codes), sizeof(Nvfp4::codes)},
    {"scales", "const unsigned char*", offsetof(Nvfp4, scales), sizeof(Nvfp4::scales)},
    {"out", "void*", offsetof(Nvfp4, out), sizeof(Nvfp4::out)},
    {"global_scale", "const float*", offsetof(Nvfp4, global_scale), sizeof(Nvfp4::global_scale)},
    {"global_scale_value", "float", offsetof(Nvfp4, global_scale_value),
     sizeof(Nvfp4::global_scale_value)},
    {"rows", "long long", offsetof(Nvfp4, rows), sizeof(Nvfp4::rows)},
    {"cols", "long long", offsetof(Nvfp4, cols), sizeof(Nvfp4::cols)},
    {"batches", "long long", offsetof(Nvfp4, batches), sizeof(Nvfp4::batches)}};

constexpr Param kMxfp4Params[] = {
    {"codes", "const unsigned char*", offsetof(Mxfp4, codes), sizeof(Mxfp4::codes)},
    {"scales", "const unsigned char*", offsetof(Mxfp4, scales), sizeof(Mxfp4::scales)},
    {"out", "void*", offsetof(Mxfp4, out), sizeof(Mxfp4::out)},
    {"rows", "long long", offsetof(Mxfp4, rows), sizeof(Mxfp4::rows)},
    {"cols", "long long", offsetof(Mxfp4, cols), sizeof(Mxfp4::cols)}};

constexpr Param kMxfp8Params[] = {
    {"data", "const unsigned char*", offsetof(Mxfp8, data), sizeof(Mxfp8::data)},
    {"scales", "const unsigned char*", offsetof(Mxfp8, scales), sizeof(Mxfp8::scales)},
    {"out", "void*", offsetof(Mxfp8, out), sizeof(Mxfp8::out)},
    {"rows", "long long", offsetof(Mxfp8, rows), sizeof(Mxfp8::rows)},
    {"cols", "long long", offsetof(Mxfp8, cols), sizeof(Mxfp8::cols)},
    {"padded_cols", "long long", offsetof(Mxfp8, padded_cols), sizeof(Mxfp8::padded_cols)}};

// What the three operations' arguments say about the call.
struct Call {
  std::string_view codes_name;
  const std::uint8_t* codes;
  std::int64_t codes_of_byte;
  const std::uint8_t* scales;
  std::int64_t block;
  const void* out;
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t padded_cols;
  std::int64_t batches;
};

Call describe(const Nvfp4& a) {
  return {"codes", a.codes, 2, a.scales, 16, a.out, a.rows, a.cols, a.cols, a.batches};
}
Call describe(const Mxfp4& a) {
  return {"codes", a.codes, 2, a.scales, 32, a.out, a.rows, a.cols, a.cols, 1};
}
Call describe(const Mxfp8& a) {
  return {"data", a.data, 1, a.scales, 32, a.out, a.rows, a.cols, a.padded_cols, 1};
}

template <class Args>
Call call_of(const void* pointer) {
  return describe(*static_cast<const Args*>(pointer));
}

bool is_empty(const Call& call) { return call.rows == 0 || call.batches == 0; }

std::string refusal(const KernelSpec&) { return {}; }
int block_threads(const KernelSpec&) { return jit::kRowLaunchThreads; }

void check_call(const KernelSpec& spec, const Call& call) {
  jit::check_rows(spec, call.rows);
  jit::check_columns(spec, call.cols, call.block);
  if (call.padded_cols < call.cols || call.padded_cols % call.block != 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: padded_cols is {}; it must be a multiple of {} and not less than "
                            "cols, {} (equal to cols for no padding)",
                            spec.text(), call.padded_cols, call.block, call.cols));
  }
  jit::check_batches(spec, call.batches, call.rows, call.padded_cols);
  if (is_empty(call)) {
    return;
  }
  jit::check_pointer(spec, call.codes_name, call.codes, 16);
  jit::check_pointer(spec, "scales", call.scales, 16);
  jit::check_pointer(spec, "out", call.out, 32);
}

template <class Args>
void check_mx_args(const KernelSpec& spec, const void* pointer) {
  check_call(spec, call_of<Args>(pointer));
}

bool has_row_scale(const KernelSpec& spec) {
  return spec.index(kScale) == kRow || spec.index(kScale) == kRowInverse;
}

void check_nvfp4_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Nvfp4*>(pointer);
  check_call(spec, describe(args));
  const bool needed = has_row_scale(spec) && !is_empty(describe(args));
  if (args.global_scale != nullptr || needed) {
    jit::check_pointer(spec, "global_scale", args.global_scale, alignof(float));
  } else if (spec.index(kScale) == kTensorInverse) {
    jit::check_global_scale(spec, args.global_scale_value);
  } else if (spec.index(kScale) == kTensor) {
    jit::check_decode_scale(spec, args.global_scale_value);
  }
}

// Groups of rows as the kernel counts them: in 128x4, rows 32 apart are taken together.
std::int64_t row_groups(const KernelSpec& spec, std::int64_t rows) {
  const std::int64_t rows_of_group = std::int64_t{1} << spec.index(kTokensPerCta);
  if (spec.get("layout") != "128x4") {
    return (rows + rows_of_group - 1) / rows_of_group;
  }
  const std::int64_t span = 32 * rows_of_group;
  return rows / span * 32 + std::min<std::int64_t>(rows % span, 32);
}

template <class Args>
LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts&) {
  constexpr std::int64_t kMostGridZ = 65535;
  const Call call = call_of<Args>(pointer);
  if (is_empty(call)) {
    LaunchShape nothing;
    nothing.empty = true;
    return nothing;
  }
  LaunchShape shape =
      jit::row_launch(call.cols / kElementsOfThread, row_groups(spec, call.rows), 1);
  shape.grid[2] = static_cast<std::uint32_t>(std::min(kMostGridZ, call.batches));
  return shape;
}

template <class Args>
std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const Call call = call_of<Args>(pointer);
  const auto rows = static_cast<std::size_t>(call.batches) * static_cast<std::size_t>(call.rows);
  const auto extent =
      jit::scale_extent(spec.get("layout"), call.rows, call.padded_cols / call.block);
  const std::size_t out_bytes = spec.index(kOut) == 0 ? 4 : 2;
  return {{call.codes_name, call.codes,
           rows * static_cast<std::size_t>(call.padded_cols / call.codes_of_byte), Access::read},
          {"scales", call.scales,
           static_cast<std::size_t>(call.batches) * static_cast<std::size_t>(extent.rows) *
               static_cast<std::size_t>(extent.columns),
           Access::read},
          {"out", call.out, rows * static_cast<std::size_t>(call.cols) * out_bytes, Access::write}};
}

std::vector<BufferRegion> nvfp4_regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Nvfp4*>(pointer);
  auto list = regions<Nvfp4>(spec, pointer);
  if (args.global_scale != nullptr) {
    const std::size_t count = has_row_scale(spec) ? static_cast<std::size_t>(args.rows) : 1;
    list.push_back({"global_scale", args.global_scale, count * sizeof(float), Access::read});
  }
  return list;
}

}  // namespace

const OpDefinition& nvfp4_dequantize_op() {
  static constexpr OpDefinition kOp{
      .name = Nvfp4::kOp,
      .summary = "NVFP4 codes, block scales and global or row scales back to floats",
      .axes = kNvfp4Axes,
      .template_file = "nvfp4_dequantize.cuh",
      .entry_function = "nvfp4_dequantize_kernel",
      .params = kNvfp4Params,
      .args_size = sizeof(Nvfp4),
      .block_threads = block_threads,
      .refusal = refusal,
      .check_args = check_nvfp4_args,
      .launch_shape = launch_shape<Nvfp4>,
      .regions = nvfp4_regions};
  return kOp;
}

const OpDefinition& mxfp4_dequantize_op() {
  static constexpr OpDefinition kOp{.name = Mxfp4::kOp,
                                    .summary = "MXFP4 codes and block scales back to floats",
                                    .axes = kMxAxes,
                                    .template_file = "mxfp4_dequantize.cuh",
                                    .entry_function = "mxfp4_dequantize_kernel",
                                    .params = kMxfp4Params,
                                    .args_size = sizeof(Mxfp4),
                                    .block_threads = block_threads,
                                    .refusal = refusal,
                                    .check_args = check_mx_args<Mxfp4>,
                                    .launch_shape = launch_shape<Mxfp4>,
                                    .regions = regions<Mxfp4>};
  return kOp;
}

const OpDefinition& mxfp8_dequantize_op() {
  static constexpr OpDefinition kOp{.name = Mxfp8::kOp,
                                    .summary = "MXFP8 data and block scales back to floats",
                                    .axes = kMxAxes,
                                    .template_file = "mxfp8_dequantize.cuh",
                                    .entry_function = "mxfp8_dequantize_kernel",
                                    .params = kMxfp8Params,
                                    .args_size = sizeof(Mxfp8),
                                    .block_threads = block_threads,
                                    .refusal = refusal,
                                    .check_args = check_mx_args<Mxfp8>,
                                    .launch_shape = launch_shape<Mxfp8>,
                                    .regions = regions<Mxfp8>};
  return kOp;
}

}  // namespace fourge
