#include "scaled_cast.hpp"

#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>

#include <algorithm>
#include <cstddef>
#include <string>

namespace {

using fourge::KernelSpec;

constexpr std::int64_t kUnit = 16;  // columns of a thread
constexpr int kThreads = 128;

// The first value of an axis is its default. The third column is what documentation says.
constexpr fourge::AxisValue kInputs[] = {{"bf16", "fourge_device::ElementType::bf16", "bfloat16"},
                                         {"f16", "fourge_device::ElementType::f16", "IEEE half"}};
constexpr fourge::AxisValue kScales[] = {
    {"tensor", "scaled_cast::Scale::tensor", "one factor, an argument"},
    {"row", "scaled_cast::Scale::row", "a factor for each row, in device memory"}};
constexpr fourge::Axis kAxes[] = {{"in", "kInput", "element type of the input", kInputs},
                                  {"scale", "kScale", "where the factor comes from", kScales}};

// The parameters of the kernel, in its order, and where they lie in the argument struct.
constexpr fourge::Param kParams[] = {
    {"x", "const void*", offsetof(ScaledCastArgs, x), sizeof(ScaledCastArgs::x)},
    {"codes", "unsigned char*", offsetof(ScaledCastArgs, codes), sizeof(ScaledCastArgs::codes)},
    {"row_scales", "const float*", offsetof(ScaledCastArgs, row_scales),
     sizeof(ScaledCastArgs::row_scales)},
    {"scale", "float", offsetof(ScaledCastArgs, scale), sizeof(ScaledCastArgs::scale)},
    {"rows", "long long", offsetof(ScaledCastArgs, rows), sizeof(ScaledCastArgs::rows)},
    {"cols", "long long", offsetof(ScaledCastArgs, cols), sizeof(ScaledCastArgs::cols)}};

const ScaledCastArgs& args_of(const void* args) {
  return *static_cast<const ScaledCastArgs*>(args);
}

void require(bool holds, const KernelSpec& spec, const std::string& what) {
  if (!holds) {
    throw fourge::Error(fourge::ErrorKind::invalid_argument, spec.text() + ": " + what);
  }
}

void require_aligned(const KernelSpec& spec, const char* name, const void* p, std::size_t bytes) {
  require(p != nullptr && reinterpret_cast<std::uintptr_t>(p) % bytes == 0, spec,
          std::string(name) + " must be aligned to " + std::to_string(bytes) + " bytes, not null");
}

// Every combination of axis values is legal.
std::string refusal(const KernelSpec&) { return {}; }

int block_threads(const KernelSpec&) { return kThreads; }

void check_args(const KernelSpec& spec, const void* pointer) {
  const ScaledCastArgs& args = args_of(pointer);
  require(args.rows >= 0, spec, "rows is negative");
  require(args.cols > 0 && args.cols % kUnit == 0, spec, "cols must be a positive multiple of 16");
  if (args.rows == 0) {
    return;
  }
  require_aligned(spec, "x", args.x, 32);
  require_aligned(spec, "codes", args.codes, 16);
  if (spec.get("scale") == "row") {
    require_aligned(spec, "row_scales", args.row_scales, 4);
  }
}

fourge::LaunchShape launch_shape(const KernelSpec&, const void* pointer,
                                 const fourge::DeviceFacts&) {
  const ScaledCastArgs& args = args_of(pointer);
  constexpr std::int64_t kMostGridY = 65535;
  fourge::LaunchShape shape;
  shape.empty = args.rows == 0;
  shape.block[0] = kThreads;
  shape.grid[0] = static_cast<std::uint32_t>((args.cols / kUnit + kThreads - 1) / kThreads);
  shape.grid[1] = static_cast<std::uint32_t>(std::min(kMostGridY, args.rows));
  return shape;
}

// All that a call reads and writes. Host execution refuses every other access.
std::vector<fourge::BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const ScaledCastArgs& args = args_of(pointer);
  const auto rows = static_cast<std::size_t>(args.rows);
  const auto elements = rows * static_cast<std::size_t>(args.cols);
  std::vector<fourge::BufferRegion> all = {{"x", args.x, elements * 2, fourge::Access::read},
                                           {"codes", args.codes, elements, fourge::Access::write}};
  if (spec.get("scale") == "row") {
    all.push_back({"row_scales", args.row_scales, rows * sizeof(float), fourge::Access::read});
  }
  return all;
}

}  // namespace

const fourge::OpDefinition& scaled_cast_op() {
  static constexpr fourge::OpDefinition kOp{.name = ScaledCastArgs::kOp,
                                            .summary = "E4M3 of the input times a factor",
                                            .axes = kAxes,
                                            .template_file = "scaled_cast.cuh",
                                            .entry_function = "scaled_cast::scaled_cast_kernel",
                                            .params = kParams,
                                            .args_size = sizeof(ScaledCastArgs),
                                            .block_threads = block_threads,
                                            .refusal = refusal,
                                            .check_args = check_args,
                                            .launch_shape = launch_shape,
                                            .regions = regions};
  return kOp;
}
