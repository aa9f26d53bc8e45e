#include <fourge/amax.hpp>
#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/common_axes.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

namespace fourge {
namespace {

// Elements that every input type loads as whole chunks of 32 bytes.
constexpr std::int64_t kColumnMultiple = 16;
constexpr int kWarpRowThreads = 128;  // four rows, a warp each
constexpr std::int64_t kGlobalScaleThreads = 512;
constexpr std::int64_t kCtasPerMultiprocessor = 2;
constexpr std::int64_t kChunksPerThread = 4;
constexpr std::size_t kWorkspaceBytes = 2 * sizeof(std::uint32_t);

enum AxisIndex : std::size_t { kIn, kThreadsPerRow };

constexpr AxisValue kThreadsPerRowValues[] = {{"128", "128", "a CTA of 128 threads"},
                                              {"32", "32", "a warp"},
                                              {"512", "512", "a CTA of 512 threads"}};
constexpr Axis kRowAxes[] = {
    jit::kInputFloatAxis,
    {"tpr", "kThreadsPerRow", "threads that share a row; same bits", kThreadsPerRowValues, "128"}};

constexpr AxisValue kRangeValues[] = {
    {"448", "448.0f", "block scales reach 448"},
    {"256", "256.0f", "block scales reach 256, for 4over6 with that range"}};
constexpr Axis kTensorAxes[] = {
    jit::kInputFloatAxis,
    {"range", "kRange", "the block scale of the tensor's largest magnitude", kRangeValues}};

using Row = RowAmaxArgs;
constexpr Param kRowParams[] = {
    {"x", "const void*", offsetof(Row, x), sizeof(Row::x)},
    {"amax", "float*", offsetof(Row, amax), sizeof(Row::amax)},
    {"row_map", "const int*", offsetof(Row, row_map), sizeof(Row::row_map)},
    {"scale", "float", offsetof(Row, scale), sizeof(Row::scale)},
    {"rows", "long long", offsetof(Row, rows), sizeof(Row::rows)},
    {"cols", "long long", offsetof(Row, cols), sizeof(Row::cols)},
    {"mapped_rows", "long long", offsetof(Row, mapped_rows), sizeof(Row::mapped_rows)}};

using Tensor = GlobalScaleArgs;
constexpr Param kTensorParams[] = {
    {"x", "const void*", offsetof(Tensor, x), sizeof(Tensor::x)},
    {"amax", "float*", offsetof(Tensor, amax), sizeof(Tensor::amax)},
    {"global_scale", "float*", offsetof(Tensor, global_scale), sizeof(Tensor::global_scale)},
    {"workspace", "unsigned int*", offsetof(Tensor, workspace), sizeof(Tensor::workspace)},
    {"elements", "long long", offsetof(Tensor, elements), sizeof(Tensor::elements)}};

std::size_t element_bytes(const KernelSpec& spec) { return spec.get("in") == "f32" ? 4 : 2; }

std::string refusal(const KernelSpec&) { return {}; }

int threads_of_row(const KernelSpec& spec) {
  return spec.index(kThreadsPerRow) == 1 ? 32 : spec.index(kThreadsPerRow) == 0 ? 128 : 512;
}

int row_block_threads(const KernelSpec& spec) {
  return std::max(threads_of_row(spec), kWarpRowThreads);
}

std::int64_t rows_to_do(const Row& args) {
  return args.rows == 0 ? 0 : args.row_map == nullptr ? args.rows : args.mapped_rows;
}

void check_row_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Row*>(pointer);
  jit::check_rows(spec, args.rows);
  jit::check_columns(spec, args.cols, kColumnMultiple);
  jit::check_extent(spec, args.rows, args.cols);
  if (!(args.scale >= 0.0F) || std::isinf(args.scale)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: scale is {}; it must be finite and not negative (1 for the plain "
                            "maxima)",
                            spec.text(), args.scale));
  }
  if (args.row_map != nullptr) {
    jit::check_pointer(spec, "row_map", args.row_map, alignof(std::int32_t));
    jit::check_count(spec, "mapped_rows", args.mapped_rows);
  }
  if (rows_to_do(args) == 0) {
    return;
  }
  jit::check_pointer(spec, "x", args.x, 32);
  jit::check_pointer(spec, "amax", args.amax, alignof(float));
}

LaunchShape row_launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts&) {
  constexpr std::int64_t kMostGridX = 0x7FFFFFFF;
  const std::int64_t count = rows_to_do(*static_cast<const Row*>(pointer));
  LaunchShape shape;
  if (count == 0) {
    shape.empty = true;
    return shape;
  }
  const int threads = row_block_threads(spec);
  const std::int64_t rows_of_cta = threads / threads_of_row(spec);
  shape.block[0] = static_cast<std::uint32_t>(threads);
  shape.grid[0] =
      static_cast<std::uint32_t>(std::min(kMostGridX, (count + rows_of_cta - 1) / rows_of_cta));
  return shape;
}

std::vector<BufferRegion> row_regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Row*>(pointer);
  const auto rows = static_cast<std::size_t>(args.rows);
  std::vector<BufferRegion> list{
      {"x", args.x, rows * static_cast<std::size_t>(args.cols) * element_bytes(spec), Access::read},
      {"amax", args.amax, rows * sizeof(float), Access::write}};
  if (args.row_map != nullptr) {
    list.push_back({"row_map", args.row_map,
                    static_cast<std::size_t>(args.mapped_rows) * sizeof(std::int32_t),
                    Access::read});
  }
  return list;
}

int tensor_block_threads(const KernelSpec&) { return static_cast<int>(kGlobalScaleThreads); }

void check_tensor_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Tensor*>(pointer);
  jit::check_count(spec, "elements", args.elements);
  if (args.elements % kColumnMultiple != 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: elements is {}; it must be a multiple of {}", spec.text(),
                            args.elements, kColumnMultiple));
  }
  jit::check_extent(spec, args.elements, 1);
  if (args.elements != 0) {
    jit::check_pointer(spec, "x", args.x, 32);
  }
  jit::check_pointer(spec, "amax", args.amax, alignof(float));
  jit::check_pointer(spec, "global_scale", args.global_scale, alignof(float));
  jit::check_pointer(spec, "workspace", args.workspace, alignof(std::uint32_t));
}

// Never empty: without elements too there are results to write.
LaunchShape tensor_launch_shape(const KernelSpec& spec, const void* pointer,
                                const DeviceFacts& device) {
  const auto& args = *static_cast<const Tensor*>(pointer);
  const std::int64_t elements_of_chunk = 32 / static_cast<std::int64_t>(element_bytes(spec));
  const std::int64_t elements_of_cta = elements_of_chunk * kChunksPerThread * kGlobalScaleThreads;
  const std::int64_t wanted = (args.elements + elements_of_cta - 1) / elements_of_cta;
  const std::int64_t most = kCtasPerMultiprocessor * device.multiprocessors;
  LaunchShape shape;
  shape.block[0] = static_cast<std::uint32_t>(kGlobalScaleThreads);
  shape.grid[0] = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(wanted, 1, std::max<std::int64_t>(most, 1)));
  return shape;
}

std::vector<BufferRegion> tensor_regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Tensor*>(pointer);
  return {
      {"x", args.x, static_cast<std::size_t>(args.elements) * element_bytes(spec), Access::read},
      {"amax", args.amax, sizeof(float), Access::write},
      {"global_scale", args.global_scale, sizeof(float), Access::write},
      {"workspace", args.workspace, kWorkspaceBytes, Access::read_write}};
}

}  // namespace

std::size_t global_scale_workspace_bytes() noexcept { return kWorkspaceBytes; }

const OpDefinition& row_amax_op() {
  static constexpr OpDefinition kOp{
      .name = Row::kOp,
      .summary = "largest magnitude of each row, times a factor; optionally of the rows of a map",
      .axes = kRowAxes,
      .template_file = "row_amax.cuh",
      .entry_function = "row_amax_kernel",
      .params = kRowParams,
      .args_size = sizeof(Row),
      .block_threads = row_block_threads,
      .refusal = refusal,
      .check_args = check_row_args,
      .launch_shape = row_launch_shape,
      .regions = row_regions};
  return kOp;
}

const OpDefinition& global_scale_op() {
  static constexpr OpDefinition kOp{
      .name = Tensor::kOp,
      .summary = "a tensor's largest magnitude and its NVFP4 encode scale, kept on the device",
      .axes = kTensorAxes,
      .template_file = "global_scale.cuh",
      .entry_function = "global_scale_kernel",
      .params = kTensorParams,
      .args_size = sizeof(Tensor),
      .block_threads = tensor_block_threads,
      .refusal = refusal,
      .check_args = check_tensor_args,
      .launch_shape = tensor_launch_shape,
      .regions = tensor_regions};
  return kOp;
}

}  // namespace fourge
