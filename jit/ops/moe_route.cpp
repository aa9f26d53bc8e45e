#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/moe_route.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/quantize_axes.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

namespace fourge {
namespace {

constexpr std::int64_t kMostExperts = 512;
constexpr std::int64_t kMostChosen = 32;
constexpr std::int64_t kMostGroups = 32;
constexpr std::int64_t kWarps = 4;

constexpr AxisValue kMethodValues[] = {
    {"softmax", "fourge_device::RouteMethod::softmax", "softmax over all experts"},
    {"renormalize", "fourge_device::RouteMethod::renormalize", "softmax over the chosen"},
    {"sigmoid", "fourge_device::RouteMethod::sigmoid", "sigmoid"},
    {"sigmoid_renorm", "fourge_device::RouteMethod::sigmoid_renorm",
     "sigmoid, divided by the sum over the chosen"},
    {"llama4", "fourge_device::RouteMethod::llama4", "the best one, with its sigmoid"},
    {"deepseek", "fourge_device::RouteMethod::deepseek",
     "sigmoid with bias in the best groups of experts"},
    {"raw", "fourge_device::RouteMethod::raw", "the logits themselves"}};

constexpr Axis kAxes[] = {
    {"in", "kInput", "element type of logits", jit::kInputFloatValues},
    {"method", "kMethod", "how experts are chosen and weighted", kMethodValues},
    jit::kExactMathAxis};

using Args = MoeRouteTopkArgs;

constexpr Param kParams[] = {
    {"logits", "const void*", offsetof(Args, logits), sizeof(Args::logits)},
    {"bias", "const float*", offsetof(Args, bias), sizeof(Args::bias)},
    {"ids", "int*", offsetof(Args, ids), sizeof(Args::ids)},
    {"weights", "float*", offsetof(Args, weights), sizeof(Args::weights)},
    {"scale", "float", offsetof(Args, scale), sizeof(Args::scale)},
    {"tokens", "long long", offsetof(Args, tokens), sizeof(Args::tokens)},
    {"experts", "long long", offsetof(Args, experts), sizeof(Args::experts)},
    {"top_k", "long long", offsetof(Args, top_k), sizeof(Args::top_k)},
    {"groups", "long long", offsetof(Args, groups), sizeof(Args::groups)},
    {"kept_groups", "long long", offsetof(Args, kept_groups), sizeof(Args::kept_groups)}};

std::string refusal(const KernelSpec&) { return {}; }
int block_threads(const KernelSpec&) { return 32 * kWarps; }
std::size_t logit_bytes(const KernelSpec& spec) { return spec.get("in") == "f32" ? 4 : 2; }

void check_range(const KernelSpec& spec, std::string_view name, std::int64_t value,
                 std::int64_t most) {
  if (value < 1 || value > most) {
    throw Error(ErrorKind::invalid_argument, fmt::format("{}: {} is {}; it must be from 1 to {}",
                                                         spec.text(), name, value, most));
  }
}

void check_groups(const KernelSpec& spec, const Args& args) {
  check_range(spec, "groups", args.groups, std::min(kMostGroups, args.experts));
  check_range(spec, "kept_groups", args.kept_groups, args.groups);
  const std::int64_t size = args.experts / args.groups;
  if (args.experts % args.groups != 0 || size < 2) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: experts is {}; it must be a multiple of groups, {}, and twice as "
                            "many at least",
                            spec.text(), args.experts, args.groups));
  }
  check_range(spec, "top_k", args.top_k, args.kept_groups * size);
  if (!std::isfinite(args.scale)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: scale is {}; it must be finite", spec.text(), args.scale));
  }
}

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_count(spec, "tokens", args.tokens);
  check_range(spec, "experts", args.experts, kMostExperts);
  check_range(spec, "top_k", args.top_k,
              spec.get("method") == "llama4" ? 1 : std::min(kMostChosen, args.experts));
  jit::check_extent(spec, args.tokens, args.experts);
  if (spec.get("method") == "deepseek") {
    check_groups(spec, args);
  }
  if (args.tokens == 0) {
    return;
  }
  jit::check_pointer(spec, "logits", args.logits, logit_bytes(spec));
  jit::check_pointer(spec, "ids", args.ids, alignof(std::int32_t));
  jit::check_pointer(spec, "weights", args.weights, alignof(float));
  if (spec.get("method") == "deepseek" && args.bias != nullptr) {
    jit::check_pointer(spec, "bias", args.bias, alignof(float));
  }
}

LaunchShape launch_shape(const KernelSpec&, const void* pointer, const DeviceFacts&) {
  constexpr std::int64_t kMostGridX = 2147483647;
  const auto& args = *static_cast<const Args*>(pointer);
  LaunchShape shape;
  if (args.tokens == 0) {
    shape.empty = true;
    return shape;
  }
  shape.block[0] = 32;
  shape.block[1] = kWarps;
  shape.grid[0] =
      static_cast<std::uint32_t>(std::min(kMostGridX, (args.tokens + kWarps - 1) / kWarps));
  return shape;
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto chosen = static_cast<std::size_t>(args.tokens * args.top_k);
  std::vector<BufferRegion> list{
      {"logits", args.logits,
       static_cast<std::size_t>(args.tokens * args.experts) * logit_bytes(spec), Access::read},
      {"ids", args.ids, chosen * sizeof(std::int32_t), Access::write},
      {"weights", args.weights, chosen * sizeof(float), Access::write}};
  if (spec.get("method") == "deepseek" && args.bias != nullptr) {
    list.push_back(
        {"bias", args.bias, static_cast<std::size_t>(args.experts) * sizeof(float), Access::read});
  }
  return list;
}

}  // namespace

const OpDefinition& moe_route_topk_op() {
  static constexpr OpDefinition kOp{
      .name = Args::kOp,
      .summary = "the experts that each token goes to, and their weights",
      .axes = kAxes,
      .template_file = "moe_route_topk.cuh",
      .entry_function = "moe_route_topk_kernel",
      .params = kParams,
      .args_size = sizeof(Args),
      .block_threads = block_threads,
      .refusal = refusal,
      .check_args = check_args,
      .launch_shape = launch_shape,
      .regions = regions};
  return kOp;
}

}  // namespace fourge
