#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/moe_swiglu_fp8_block.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/common_axes.hpp"
#include "jit/ops/moe_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

namespace fourge {
namespace {

using Args = MoeSwigluFp8BlockArgs;

constexpr std::int64_t kBlock = 128;
constexpr std::int64_t kMostRows = (std::int64_t{1} << 31) - 1;
constexpr std::int64_t kMostColumns = std::int64_t{1} << 29;

enum AxisIndex : std::size_t { kForm, kOrder, kRows, kTokensPerCta, kMath };

constexpr AxisValue kFormValues[] = {
    {"plain", "fourge_device::SwigluForm::plain", "l * silu(g)"},
    {"clamped", "fourge_device::SwigluForm::clamped", "with limit, alpha and beta"}};
constexpr AxisValue kOrderValues[] = {
    {"linear_first", "fourge_device::SwigluOrder::linear_first", "a row is [linear | gate]"},
    {"gate_first", "fourge_device::SwigluOrder::gate_first", "a row is [gate | linear]"}};
constexpr AxisValue kRowsValues[] = {
    {"map", "fourge_device::RowSource::map", "row_map gives the row of each expanded token"},
    {"inverse", "fourge_device::RowSource::inverse", "row_map says for each row if it is taken"}};

constexpr Axis kAxes[] = {{"form", "kForm", "the activation", kFormValues},
                          {"order", "kOrder", "which half is the gate", kOrderValues},
                          {"rows", "kRows", "how row_map names the rows", kRowsValues},
                          jit::kTokensPerCtaAxis,
                          jit::kMathAxis};

constexpr Param kParams[] = {
    {"x", "const unsigned char*", offsetof(Args, x), sizeof(Args::x)},
    {"x_scales", "const float*", offsetof(Args, x_scales), sizeof(Args::x_scales)},
    {"y", "unsigned char*", offsetof(Args, y), sizeof(Args::y)},
    {"y_scales", "float*", offsetof(Args, y_scales), sizeof(Args::y_scales)},
    {"row_map", "const int*", offsetof(Args, row_map), sizeof(Args::row_map)},
    {"padded_rows", "const int*", offsetof(Args, padded_rows), sizeof(Args::padded_rows)},
    {"tokens", "long long", offsetof(Args, tokens), sizeof(Args::tokens)},
    {"top_k", "long long", offsetof(Args, top_k), sizeof(Args::top_k)},
    {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)},
    {"capacity", "long long", offsetof(Args, capacity), sizeof(Args::capacity)},
    {"limit", "float", offsetof(Args, limit), sizeof(Args::limit)},
    {"alpha", "float", offsetof(Args, alpha), sizeof(Args::alpha)},
    {"beta", "float", offsetof(Args, beta), sizeof(Args::beta)}};

std::int64_t entries(const KernelSpec& spec, const Args& args) {
  return spec.get("rows") == "inverse" ? args.capacity : args.tokens * args.top_k;
}

bool is_empty(const KernelSpec& spec, const Args& args) {
  return args.capacity == 0 || entries(spec, args) == 0;
}

std::string refusal(const KernelSpec&) { return {}; }

[[noreturn]] void refuse(const KernelSpec& spec, const std::string& what) {
  throw Error(ErrorKind::invalid_argument, fmt::format("{}: {}", spec.text(), what));
}

void check_most(const KernelSpec& spec, std::string_view name, std::int64_t value,
                std::int64_t most) {
  if (value > most) {
    refuse(spec, fmt::format("{} is {}; it must be at most {}", name, value, most));
  }
}

void check_factors(const KernelSpec& spec, const Args& args) {
  if (!(args.limit > 0.0F)) {
    refuse(spec, fmt::format("limit is {}; it must be above zero (infinity for none)", args.limit));
  }
  if (!std::isfinite(args.alpha)) {
    refuse(spec, fmt::format("alpha is {}; it must be finite", args.alpha));
  }
  if (!std::isfinite(args.beta)) {
    refuse(spec, fmt::format("beta is {}; it must be finite", args.beta));
  }
}

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_expanded_tokens(spec, args.tokens, args.top_k);
  jit::check_count(spec, "capacity", args.capacity);
  jit::check_columns(spec, args.cols, kBlock);
  jit::check_extent(spec, args.capacity, 2 * args.cols);
  check_most(spec, "capacity", args.capacity, kMostRows);
  check_most(spec, "cols", args.cols, kMostColumns);
  if (spec.index(kForm) == 1) {
    check_factors(spec, args);
  }
  if (is_empty(spec, args)) {
    return;
  }
  jit::check_pointer(spec, "x", args.x, 16);
  jit::check_pointer(spec, "x_scales", args.x_scales, alignof(float));
  jit::check_pointer(spec, "y", args.y, 16);
  jit::check_pointer(spec, "y_scales", args.y_scales, alignof(float));
  jit::check_pointer(spec, "row_map", args.row_map, alignof(std::int32_t));
  jit::check_pointer(spec, "padded_rows", args.padded_rows, alignof(std::int32_t));
}

// CTAs for the columns of a row; threads for a CTA's part of them; rows side by side in a CTA.
struct SwigluBlock {
  std::int64_t columns;
  std::int64_t width;
  std::int64_t rows;
};

// Whole warps of whole blocks, each of so many threads, with as few idle threads as that allows.
SwigluBlock swiglu_block(std::int64_t cols, std::int64_t lanes) {
  constexpr std::int64_t kThreads = jit::kRowLaunchThreads;
  const std::int64_t units = cols / kBlock * lanes;
  const std::int64_t columns = (units + kThreads - 1) / kThreads;
  for (std::int64_t width = jit::round_up((units + columns - 1) / columns, lanes);;
       width += lanes) {
    for (std::int64_t rows = kThreads / width; rows > 0; --rows) {
      if (width * rows % 32 == 0) return {columns, width, rows};
    }
  }
}

// As few registers as keep everything out of memory: 40, 64 and 64. Conversions without the instruction need
// more, and with a maximum of three operands the plain form a few, most of all on sm_120 and its like.
int min_ctas(const KernelSpec& spec) {
  constexpr int kOfCvt[] = {12, 8, 8};
  constexpr int kOfMax3[] = {9, 8, 7};
  constexpr int kOf12[] = {9, 8, 6};
  constexpr int kOfOlder[] = {8, 5, 4};
  const Target target = spec.target();
  const auto& has = target.features();
  const int* const newer = target.major() >= 12 ? kOf12 : kOfMax3;
  const int* const ctas = !has.cvt_e4m3 ? kOfOlder : has.max3_f32 ? newer : kOfCvt;
  return ctas[spec.index(kTokensPerCta)];
}

constexpr std::int64_t kMostGridY = 65535;
// With tpc=4, rounds in a run.
constexpr std::int64_t kRun = 4;

// With tpc=4: the fewest CTAs in y that take all rounds. Some take runs of kRun rounds, a fifth of few CTAs and
// all but kShort of many, and the others a round each. The template counts the same way.
std::int64_t ctas_for_runs(std::int64_t rounds) {
  constexpr std::int64_t kShort = 1024;
  const auto taken = [](std::int64_t ctas) {
    const std::int64_t of_many = std::min(2 * ctas - 4608, ctas - kShort);
    return ctas + (kRun - 1) * std::max(ctas / 5, of_many);
  };
  std::int64_t too_few = 0;
  std::int64_t enough = rounds;
  while (enough - too_few > 1) {
    const std::int64_t middle = too_few + (enough - too_few) / 2;
    (taken(middle) < rounds ? too_few : enough) = middle;
  }
  return enough;
}

LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts&) {
  const auto& args = *static_cast<const Args*>(pointer);
  LaunchShape shape;
  if (is_empty(spec, args)) {
    shape.empty = true;
    return shape;
  }
  const SwigluBlock block = swiglu_block(args.cols, spec.index(kTokensPerCta) == 0 ? 8 : 4);
  const std::int64_t rounds = (entries(spec, args) + block.rows - 1) / block.rows;
  const bool runs = spec.index(kTokensPerCta) == 2;
  std::int64_t ctas = runs ? ctas_for_runs(rounds) : rounds;
  if (ctas > kMostGridY) {
    // What y has no room for goes on along z, and all take runs: the template tells by z.
    ctas = runs ? (rounds + kRun - 1) / kRun : rounds;
    shape.grid[2] = static_cast<std::uint32_t>(
        std::max((ctas + kMostGridY - 1) / kMostGridY, std::int64_t{runs ? 2 : 1}));
  }
  shape.block[0] = static_cast<std::uint32_t>(block.width);
  shape.block[1] = static_cast<std::uint32_t>(block.rows);
  shape.grid[0] = static_cast<std::uint32_t>(block.columns);
  shape.grid[1] = static_cast<std::uint32_t>((ctas + shape.grid[2] - 1) / shape.grid[2]);
  return shape;
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto elements =
      static_cast<std::size_t>(args.capacity) * static_cast<std::size_t>(args.cols);
  const std::size_t scale_bytes = elements / kBlock * sizeof(float);
  return {{"x", args.x, 2 * elements, Access::read},
          {"x_scales", args.x_scales, 2 * scale_bytes, Access::read},
          {"y", args.y, elements, Access::write},
          {"y_scales", args.y_scales, scale_bytes, Access::write},
          {"row_map", args.row_map,
           static_cast<std::size_t>(entries(spec, args)) * sizeof(std::int32_t), Access::read},
          {"padded_rows", args.padded_rows, sizeof(std::int32_t), Access::read}};
}

}  // namespace

const OpDefinition& moe_swiglu_fp8_block_op() {
  static constexpr OpDefinition kOp{
      .name = Args::kOp,
      .summary = "SwiGLU of permuted rows, E4M3 with 1x128 scales in and out",
      .axes = kAxes,
      .template_file = "moe_swiglu_fp8_block.cuh",
      .entry_function = "moe_swiglu_fp8_block_kernel",
      .params = kParams,
      .args_size = sizeof(Args),
      .block_threads = [](const KernelSpec&) { return jit::kRowLaunchThreads; },
      .refusal = refusal,
      .check_args = check_args,
      .launch_shape = launch_shape,
      .regions = regions,
      .min_ctas = min_ctas};
  return kOp;
}

namespace moe {

int swiglu_tokens_per_cta(std::int64_t tokens, std::int64_t top_k, std::int64_t cols,
                          int multiprocessors) {
  constexpr std::int64_t kCtaColumns = 2048;
  const std::int64_t ctas = tokens * top_k * ((cols + kCtaColumns - 1) / kCtaColumns);
  if (ctas > std::int64_t{32} * multiprocessors) {
    return 4;
  }
  return ctas > std::int64_t{10} * multiprocessors ? 2 : 1;
}

}  // namespace moe
}  // namespace fourge
