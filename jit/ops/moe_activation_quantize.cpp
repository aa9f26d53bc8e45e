#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/moe_activation_quantize.hpp>
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
constexpr std::int64_t kThreads = 256;

constexpr AxisValue kActValues[] = {
    {"swiglu", "fourge_device::ActivationKind::swiglu", "silu(gate) * linear"},
    {"geglu", "fourge_device::ActivationKind::geglu", "gelu(gate) * linear, with erf"},
    {"geglu_tanh", "fourge_device::ActivationKind::geglu_tanh", "gelu(gate) * linear, with tanh"},
    {"clamped", "fourge_device::ActivationKind::clamped",
     "SwiGLU with limit, slope alpha and offset beta"},
    {"relu2", "fourge_device::ActivationKind::relu2", "max(x, 0) squared"},
    {"silu", "fourge_device::ActivationKind::silu", "silu(x)"},
    {"gelu", "fourge_device::ActivationKind::gelu", "gelu(x), with erf"},
    {"identity", "fourge_device::ActivationKind::identity", "x"}};
constexpr AxisValue kOrderValues[] = {
    {"linear_first", "fourge_device::GateOrder::linear_first", "a row is [linear | gate]"},
    {"gate_first", "fourge_device::GateOrder::gate_first", "a row is [gate | linear]"}};

constexpr Axis kAxes[] = {
    jit::kInput16Axis,
    {"act", "kActivation", "the activation", kActValues},
    {"order", "kOrder", "which half of a row comes first", kOrderValues},
    {"out", "kFormat", "what the result is quantized to", jit::kQuantizedFormatValues},
    jit::kScaleLayoutAxis,
    jit::scaling_axis(3),
    jit::kFourOverSixExactAxis,
    {"round", "kRounding", "whether values are rounded to the type of x", jit::kRoundingValues},
    jit::kExactMathAxis};

using Args = MoeActivationQuantizeArgs;

constexpr Param kParams[] = {
    {"x", "const void*", offsetof(Args, x), sizeof(Args::x)},
    {"bias", "const void*", offsetof(Args, bias), sizeof(Args::bias)},
    {"q", "unsigned char*", offsetof(Args, q), sizeof(Args::q)},
    {"scales", "unsigned char*", offsetof(Args, scales), sizeof(Args::scales)},
    {"token_scales", "float*", offsetof(Args, token_scales), sizeof(Args::token_scales)},
    {"scale", "const float*", offsetof(Args, scale), sizeof(Args::scale)},
    {"expert_rows", "const long long*", offsetof(Args, expert_rows), sizeof(Args::expert_rows)},
    {"scale_value", "float", offsetof(Args, scale_value), sizeof(Args::scale_value)},
    {"limit", "float", offsetof(Args, limit), sizeof(Args::limit)},
    {"alpha", "float", offsetof(Args, alpha), sizeof(Args::alpha)},
    {"beta", "float", offsetof(Args, beta), sizeof(Args::beta)},
    {"rows", "long long", offsetof(Args, rows), sizeof(Args::rows)},
    {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)},
    {"experts", "long long", offsetof(Args, experts), sizeof(Args::experts)}};

bool is_gated(const KernelSpec& spec) {
  const auto act = spec.get("act");
  return act == "clamped" || act.ends_with("glu") || act == "geglu_tanh";
}
bool has_block_scales(const KernelSpec& spec) {
  return spec.get("out") == "nvfp4" || spec.get("out") == "mxfp8";
}

std::string refusal(const KernelSpec& spec) {
  const auto out = spec.get("out");
  const auto scale = spec.get("scale");
  if (!is_gated(spec) && spec.get("order") != "linear_first") {
    return "order is for activations with two halves";
  }
  if (!has_block_scales(spec) && spec.get("layout") != "linear") {
    return "this out has no block scales: layout must be linear";
  }
  if ((out == "mxfp8" || out == "same") && scale != "tensor") {
    return "this out has no scale above block scales: scale must be tensor";
  }
  if (out == "nvfp4" && scale == "expert" && spec.get("layout") != "128x4") {
    return "scale=expert is for layout=128x4";
  }
  if (out == "same" && spec.get("round") != "rounded") {
    return "out=same is rounded: round must be rounded";
  }
  if (spec.get("4over6") != "off" && (out != "nvfp4" || spec.get("round") != "rounded")) {
    return "4over6 is for out=nvfp4 with round=rounded";
  }
  return {};
}

int block_threads(const KernelSpec&) { return kThreads; }

[[noreturn]] void refuse(const KernelSpec& spec, const std::string& what) {
  throw Error(ErrorKind::invalid_argument, fmt::format("{}: {}", spec.text(), what));
}

void check_scale(const KernelSpec& spec, const Args& args) {
  const auto out = spec.get("out");
  const auto scale = spec.get("scale");
  if (out == "same" || out == "mxfp8" || (out == "fp8" && scale == "token")) {
    return;
  }
  if (scale == "token") {
    jit::check_inverse_scale(spec, "scale_value", args.scale_value, "1 / (448 * 6)");
  } else if (scale == "expert" || args.scale != nullptr) {
    jit::check_pointer(spec, "scale", args.scale, alignof(float));
  } else if (out == "fp8") {
    jit::check_inverse_scale(spec, "scale_value", args.scale_value, "amax / 448");
  } else {
    jit::check_encode_scale(spec, "scale_value", args.scale_value);
  }
}

void check_factors(const KernelSpec& spec, const Args& args) {
  if (spec.get("act") != "clamped") {
    return;
  }
  if (!(args.limit > 0.0F)) {
    refuse(spec, fmt::format("limit is {}; it must be above zero", args.limit));
  }
  if (!std::isfinite(args.alpha) || !std::isfinite(args.beta)) {
    refuse(spec,
           fmt::format("alpha is {} and beta is {}; both must be finite", args.alpha, args.beta));
  }
}

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_rows(spec, args.rows);
  jit::check_columns(spec, args.cols, spec.get("out") == "mxfp8" ? 32 : 16);
  jit::check_extent(spec, args.rows, 2 * args.cols);
  check_factors(spec, args);
  jit::check_count(spec, "experts", args.experts);
  if (args.rows == 0) {
    return;
  }
  if (args.expert_rows != nullptr) {
    jit::check_pointer(spec, "expert_rows", args.expert_rows, alignof(std::int64_t));
    jit::check_extent(spec, args.experts, 2 * args.cols);
    if (args.experts == 0) {
      refuse(spec, "experts is 0, with expert_rows it must be positive");
    }
  } else if (spec.get("scale") == "expert") {
    refuse(spec, "expert_rows is a null pointer, scale=expert needs it");
  }
  check_scale(spec, args);
  jit::check_pointer(spec, "x", args.x, 32);
  if (args.bias != nullptr) {
    jit::check_pointer(spec, "bias", args.bias, 32);
  }
  jit::check_pointer(spec, "q", args.q, 16);
  if (has_block_scales(spec)) {
    jit::check_pointer(spec, "scales", args.scales, 16);
  }
  if (spec.get("scale") == "token") {
    jit::check_pointer(spec, "token_scales", args.token_scales, alignof(float));
  }
}

std::int64_t experts_of(const Args& args) { return args.expert_rows != nullptr ? args.experts : 0; }

// Rows of the matrix of scales.
std::int64_t scale_rows(std::string_view layout, std::int64_t rows, std::int64_t experts) {
  const std::int64_t tile = jit::scale_extent(layout, 1, 4).rows;
  return jit::scale_extent(layout, rows + (tile - 1) * experts, 4).rows;
}

// CTAs for all rows; the template has the same rule.
bool takes_rows_once(const KernelSpec& spec) {
  return spec.get("out") == "fp8" && spec.get("scale") == "token";
}

// Room for 64 registers where that needs no local memory, otherwise for 80 or 128. Found by compiling. On sm_90
// fewer where more warps were measured to be worth it: a scale a token, whose rows wait at a barrier, and a
// short activation.
int min_ctas(const KernelSpec& spec) {
  const auto act = spec.get("act");
  const bool long_act = act == "clamped" || act == "geglu" || act == "gelu";
  const bool on_90 = spec.target().major() == 9 && spec.get("4over6") == "off";
  if (spec.get("scale") == "token") {
    const bool few = spec.get("layout") == "linear" && spec.get("round") == "rounded";
    if (on_90 && !long_act && few) {
      const bool spills = act == "geglu_tanh" && !takes_rows_once(spec) && spec.get("in") == "f16";
      return spills ? 3 : 4;
    }
    return long_act || spec.target().major() >= 10 ? 2 : 3;
  }
  if (on_90 && act == "relu2" && spec.get("scale") == "tensor" && spec.get("out") == "nvfp4" &&
      spec.get("layout") == "linear") {
    return 5;
  }
  const auto four_over_six = spec.get("4over6");
  const bool short_scale = spec.get("scale") == "tensor" && spec.get("layout") == "linear" &&
                           !four_over_six.starts_with("mse");
  const bool many_addresses = spec.target().major() >= 12 && spec.get("layout") != "linear" &&
                              spec.get("scale") == "expert" && spec.get("round") == "unrounded";
  return act == "clamped" || many_addresses || (four_over_six != "off" && !short_scale) ? 3 : 4;
}

// Rows that a thread takes one after another: the template has the same rule. Few where CTAs are few; more
// where each row's expert is looked up.
std::int64_t rows_each(const KernelSpec& spec, std::int64_t rows) {
  if (spec.get("out") == "same" || rows < 8192) {
    return 1;
  }
  const bool looks_up = spec.get("layout") != "linear" || spec.get("scale") == "expert";
  return rows < (looks_up ? 32768 : 65536) ? 4 : 8;
}

// Whether a warp takes a whole row; the template has the same rule for variants.
bool takes_warp(const KernelSpec& spec, const Args& args, const DeviceFacts& device) {
  constexpr std::int64_t kMostRows = std::int64_t{1} << 32;
  constexpr std::int64_t kMostCols = 4096;
  constexpr std::int64_t kWholeWarp = 32 * kBlock;
  const bool sizes = args.cols % kWholeWarp == 0 && args.cols > kWholeWarp &&
                     args.cols <= kMostCols && args.rows < kMostRows &&
                     args.rows >= 16 * std::int64_t{device.multiprocessors};
  const bool variant =
      spec.get("scale") == "token" ? spec.get("layout") == "linear" : spec.get("out") == "nvfp4";
  return sizes && args.bias == nullptr && variant && spec.get("round") == "rounded";
}

LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts& device) {
  const auto& args = *static_cast<const Args*>(pointer);
  LaunchShape shape;
  if (args.rows == 0) {
    shape.empty = true;
    return shape;
  }
  const bool held = takes_warp(spec, args, device);
  const std::int64_t lanes =
      held ? 32 : std::min(kThreads, jit::round_up((args.cols + kBlock - 1) / kBlock, 32));
  // Several rows of a CTA must not meet at a barrier.
  const bool alone = lanes > 32 && spec.get("scale") == "token";
  const std::int64_t rows_per_cta =
      alone || args.rows < 4 * device.multiprocessors ? 1 : std::max<std::int64_t>(1, 128 / lanes);
  const std::int64_t each = held ? 1 : rows_each(spec, args.rows);
  constexpr std::int64_t kMostGridX = 2147483647;
  shape.block[0] = static_cast<std::uint32_t>(lanes);
  shape.block[1] = static_cast<std::uint32_t>(rows_per_cta);
  // With a scale of its own the row waits in shared memory.
  shape.dynamic_shared_bytes = held && spec.get("scale") == "token"
                                   ? static_cast<std::uint32_t>(rows_per_cta * args.cols * 2)
                                   : 0;
  // Few rows may have many experts, whose padding takes CTAs as well.
  constexpr std::int64_t kPaddingCtas = 1024;
  const std::int64_t padding = spec.get("layout") == "linear" ? 0 : 4 * experts_of(args);
  const std::int64_t rows_of_cta = rows_per_cta * each;
  const std::int64_t ctas =
      std::max((args.rows + rows_of_cta - 1) / rows_of_cta, std::min(padding, kPaddingCtas));
  // Other kernels loop over rows that grid x has no CTAs for.
  jit::set_ctas(shape, takes_rows_once(spec) ? ctas : std::min(kMostGridX, ctas), kMostGridX);
  return shape;
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto rows = static_cast<std::size_t>(args.rows);
  const auto elements = rows * static_cast<std::size_t>(args.cols);
  const std::size_t halves = is_gated(spec) ? 2 : 1;
  const auto out = spec.get("out");
  const std::size_t bytes = out == "nvfp4" ? elements / 2 : out == "same" ? elements * 2 : elements;
  std::vector<BufferRegion> list{{"x", args.x, elements * 2 * halves, Access::read},
                                 {"q", args.q, bytes, Access::write}};
  const auto experts = static_cast<std::size_t>(experts_of(args));
  if (args.bias != nullptr) {
    list.push_back(
        {"bias", args.bias,
         std::max<std::size_t>(1, experts) * static_cast<std::size_t>(args.cols) * 2 * halves,
         Access::read});
  }
  if (has_block_scales(spec)) {
    list.push_back({"scales", args.scales,
                    moe::activation_scale_bytes(out, spec.get("layout"), args.rows, args.cols,
                                                experts_of(args)),
                    Access::write});
  }
  if (spec.get("scale") == "token") {
    list.push_back({"token_scales", args.token_scales, rows * sizeof(float), Access::write});
  } else if (args.scale != nullptr) {
    list.push_back({"scale", args.scale,
                    sizeof(float) * (spec.get("scale") == "expert" ? experts : 1), Access::read});
  }
  if (args.expert_rows != nullptr) {
    list.push_back(
        {"expert_rows", args.expert_rows, (experts + 1) * sizeof(std::int64_t), Access::read});
  }
  return list;
}

}  // namespace

namespace moe {

std::size_t activation_scale_bytes(std::string_view out, std::string_view layout, std::int64_t rows,
                                   std::int64_t cols, std::int64_t experts) {
  if (out == "same") {
    return 0;
  }
  return rmsnorm_quantize_scale_bytes(out, layout, scale_rows(layout, rows, experts), cols);
}

}  // namespace moe

const OpDefinition& moe_activation_quantize_op() {
  static constexpr OpDefinition kOp{
      .name = Args::kOp,
      .summary = "activation of experts' rows, quantized to NVFP4, MXFP8 or FP8",
      .axes = kAxes,
      .template_file = "moe_activation_quantize.cuh",
      .entry_function = "moe_activation_quantize_kernel",
      .params = kParams,
      .args_size = sizeof(Args),
      .block_threads = block_threads,
      .refusal = refusal,
      .check_args = check_args,
      .launch_shape = launch_shape,
      .regions = regions,
      .min_ctas = min_ctas};
  return kOp;
}

}  // namespace fourge
