#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/moe_finalize.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/common_axes.hpp"
#include "jit/ops/moe_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>

namespace fourge {
namespace {

using Args = MoeFinalizeArgs;

constexpr std::int64_t kThreadColumns = 8;
constexpr std::size_t kAlignment = 16;

enum AxisIndex : std::size_t { kIn, kWeights, kIndex, kBias, kShared };

constexpr AxisValue kWeightsValues[] = {{"f32", "fourge_device::RouteWeights::f32", "floats"},
                                        {"bf16", "fourge_device::RouteWeights::bf16", "bfloat16"},
                                        {"none", "fourge_device::RouteWeights::none", "all are 1"}};
constexpr AxisValue kBiasValues[] = {{"off", "false", "no bias"},
                                     {"on", "true", "the expert's bias is added before weighting"}};
constexpr AxisValue kSharedValues[] = {{"off", "false", "no shared expert"},
                                       {"on", "true", "its output is added last"}};

constexpr Axis kAxes[] = {{"in", "kInput", "element type of x and out", jit::kInput16Values},
                          {"weights", "kWeights", "type of the routing weights", kWeightsValues},
                          jit::kMoeIndexAxis,
                          {"bias", "kBias", "whether experts have a bias", kBiasValues},
                          {"shared", "kShared", "whether there is a shared expert", kSharedValues}};

constexpr Param kParams[] = {
    {"x", "const void*", offsetof(Args, x), sizeof(Args::x)},
    {"out", "void*", offsetof(Args, out), sizeof(Args::out)},
    {"rows", "const int*", offsetof(Args, rows), sizeof(Args::rows)},
    {"weights", "const void*", offsetof(Args, weights), sizeof(Args::weights)},
    {"bias", "const void*", offsetof(Args, bias), sizeof(Args::bias)},
    {"expert_ids", "const int*", offsetof(Args, expert_ids), sizeof(Args::expert_ids)},
    {"shared", "const void*", offsetof(Args, shared), sizeof(Args::shared)},
    {"tokens", "long long", offsetof(Args, tokens), sizeof(Args::tokens)},
    {"top_k", "long long", offsetof(Args, top_k), sizeof(Args::top_k)},
    {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)},
    {"x_cols", "long long", offsetof(Args, x_cols), sizeof(Args::x_cols)},
    {"capacity", "long long", offsetof(Args, capacity), sizeof(Args::capacity)},
    {"experts", "long long", offsetof(Args, experts), sizeof(Args::experts)}};

bool is_on(const KernelSpec& spec, AxisIndex axis) { return spec.index(axis) == 1; }
std::size_t weight_bytes(const KernelSpec& spec) {
  constexpr std::size_t kBytes[] = {4, 2, 0};
  return kBytes[spec.index(kWeights)];
}

std::string refusal(const KernelSpec&) { return {}; }

void check_sizes(const KernelSpec& spec, const Args& args) {
  jit::check_expanded_tokens(spec, args.tokens, args.top_k);
  jit::check_count(spec, "capacity", args.capacity);
  jit::check_columns(spec, args.cols, kThreadColumns);
  if (args.x_cols < args.cols || args.x_cols % kThreadColumns != 0) {
    throw Error(
        ErrorKind::invalid_argument,
        fmt::format("{}: x_cols is {}; it must be a multiple of {} and not less than cols, {}",
                    spec.text(), args.x_cols, kThreadColumns, args.cols));
  }
  jit::check_extent(spec, args.capacity, args.x_cols);
  jit::check_extent(spec, args.tokens, args.cols);
  if (is_on(spec, kBias)) {
    jit::check_count(spec, "experts", args.experts);
    jit::check_extent(spec, args.experts, args.cols);
  }
}

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  check_sizes(spec, args);
  if (args.tokens == 0) {
    return;
  }
  if (args.capacity > 0) {
    jit::check_pointer(spec, "x", args.x, kAlignment);
  }
  jit::check_pointer(spec, "out", args.out, kAlignment);
  jit::check_pointer(spec, "rows", args.rows, alignof(std::int32_t));
  if (weight_bytes(spec) != 0) {
    jit::check_pointer(spec, "weights", args.weights, weight_bytes(spec));
  }
  if (is_on(spec, kBias)) {
    jit::check_pointer(spec, "expert_ids", args.expert_ids, alignof(std::int32_t));
    if (args.experts > 0) {
      jit::check_pointer(spec, "bias", args.bias, kAlignment);
    }
  }
  if (is_on(spec, kShared)) {
    jit::check_pointer(spec, "shared", args.shared, kAlignment);
  }
}

LaunchShape launch_shape(const KernelSpec&, const void* pointer, const DeviceFacts&) {
  const auto& args = *static_cast<const Args*>(pointer);
  if (args.tokens == 0) {
    LaunchShape shape;
    shape.empty = true;
    return shape;
  }
  return jit::row_launch(args.cols / kThreadColumns, args.tokens, 1);
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto out_bytes = static_cast<std::size_t>(args.tokens * args.cols) * 2;
  const auto entries = static_cast<std::size_t>(args.tokens * args.top_k);
  std::vector<BufferRegion> list{
      {"x", args.x, static_cast<std::size_t>(args.capacity * args.x_cols) * 2, Access::read},
      {"out", args.out, out_bytes, Access::write},
      {"rows", args.rows, entries * sizeof(std::int32_t), Access::read}};
  if (weight_bytes(spec) != 0) {
    list.push_back({"weights", args.weights, entries * weight_bytes(spec), Access::read});
  }
  if (is_on(spec, kBias)) {
    list.push_back(
        {"bias", args.bias, static_cast<std::size_t>(args.experts * args.cols) * 2, Access::read});
    list.push_back({"expert_ids", args.expert_ids, entries * sizeof(std::int32_t), Access::read});
  }
  if (is_on(spec, kShared)) {
    list.push_back({"shared", args.shared, out_bytes, Access::read});
  }
  return list;
}

}  // namespace

const OpDefinition& moe_finalize_op() {
  static constexpr OpDefinition kOp{
      .name = Args::kOp,
      .summary = "weighted sum of the rows of a token's experts, in a fixed order",
      .axes = kAxes,
      .template_file = "moe_finalize.cuh",
      .entry_function = "moe_finalize_kernel",
      .params = kParams,
      .args_size = sizeof(Args),
      .block_threads = [](const KernelSpec&) { return jit::kRowLaunchThreads; },
      .refusal = refusal,
      .check_args = check_args,
      .launch_shape = launch_shape,
      .regions = regions};
  return kOp;
}

}  // namespace fourge
