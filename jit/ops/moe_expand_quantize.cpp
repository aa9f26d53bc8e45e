#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/moe_expand_quantize.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/common_axes.hpp"
#include "jit/ops/expand_staging.hpp"
#include "jit/ops/moe_axes.hpp"
#include "jit/ops/row_launch.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace fourge {
namespace {

using Args = MoeExpandQuantizeArgs;

constexpr int kTokenThreads = 256;

enum AxisIndex : std::size_t { kIn, kFormat, kScale, kLayout, kFourOverSix, kIndex, kStaging };
enum FormatIndex : std::size_t { kNvfp4, kMxfp8, kFp8 };
enum ScaleIndex : std::size_t { kTensor, kExpert, kToken, kNone };

constexpr AxisValue kFormatValues[] = {
    {"nvfp4", "fourge_device::ExpandFormat::nvfp4", "E2M1, E4M3 scales for 16"},
    {"mxfp8", "fourge_device::ExpandFormat::mxfp8", "E4M3, UE8M0 scales for 32"},
    {"fp8", "fourge_device::ExpandFormat::fp8", "E4M3, one scale a token"}};
constexpr AxisValue kScaleValues[] = {
    {"tensor", "fourge_device::ExpandScale::tensor", "one global scale"},
    {"expert", "fourge_device::ExpandScale::expert", "one for each expert"},
    {"token", "fourge_device::ExpandScale::token", "one for each token, computed"},
    {"none", "fourge_device::ExpandScale::none", "block scales only"}};

constexpr AxisValue kStagingValues[] = {
    {"off", "fourge_device::ExpandStaging::off", "each row gets them with its codes"},
    {"on", "fourge_device::ExpandStaging::on",
     "through a workspace, by tiles; tiled layouts without a scale an expert"}};

constexpr Axis kAxes[] = {
    jit::kInput16Axis,
    {"format", "kFormat", "what rows become", kFormatValues},
    {"scale", "kScale", "what the scale beside block scales covers", kScaleValues},
    jit::kScaleLayoutAxis,
    jit::kFourOverSixAxis,
    jit::kMoeIndexAxis,
    {"staging", "kStaging", "how block scales come to rows", kStagingValues}};

constexpr Param kParams[] = {
    {"x", "const void*", offsetof(Args, x), sizeof(Args::x)},
    {"out", "unsigned char*", offsetof(Args, out), sizeof(Args::out)},
    {"scales", "unsigned char*", offsetof(Args, scales), sizeof(Args::scales)},
    {"token_scales", "float*", offsetof(Args, token_scales), sizeof(Args::token_scales)},
    {"global_scale", "const float*", offsetof(Args, global_scale), sizeof(Args::global_scale)},
    {"rows", "const int*", offsetof(Args, rows), sizeof(Args::rows)},
    {"expert_ids", "const int*", offsetof(Args, expert_ids), sizeof(Args::expert_ids)},
    {"expert_rows", "const long long*", offsetof(Args, expert_rows), sizeof(Args::expert_rows)},
    {"row_entries", "const int*", offsetof(Args, row_entries), sizeof(Args::row_entries)},
    {"tokens", "long long", offsetof(Args, tokens), sizeof(Args::tokens)},
    {"top_k", "long long", offsetof(Args, top_k), sizeof(Args::top_k)},
    {"cols", "long long", offsetof(Args, cols), sizeof(Args::cols)},
    {"capacity", "long long", offsetof(Args, capacity), sizeof(Args::capacity)},
    {"experts", "long long", offsetof(Args, experts), sizeof(Args::experts)},
    {"first_expert", "long long", offsetof(Args, first_expert), sizeof(Args::first_expert)},
    {"workspace", "unsigned char*", offsetof(Args, workspace), sizeof(Args::workspace)}};

std::int64_t block_columns(const KernelSpec& spec) {
  return spec.index(kFormat) == kMxfp8 ? 32 : 16;
}
bool has_block_scales(const KernelSpec& spec) { return spec.index(kFormat) != kFp8; }
// Whether each expert has tiles of scales of its own.
bool has_regions(const KernelSpec& spec) {
  return has_block_scales(spec) && spec.index(kIndex) == 1 && spec.index(kLayout) != 0;
}
bool is_staged(const KernelSpec& spec) { return spec.index(kStaging) != 0; }
bool needs_experts(const KernelSpec& spec) {
  return spec.index(kScale) == kExpert || (has_regions(spec) && !is_staged(spec));
}

std::string refusal(const KernelSpec& spec) {
  const std::size_t format = spec.index(kFormat);
  const std::size_t scale = spec.index(kScale);
  const bool legal =
      format == kNvfp4 ? scale != kNone : scale == (format == kMxfp8 ? kNone : kToken);
  if (!legal) {
    return fmt::format(
        "format={} has no scale={}: nvfp4 has tensor, expert and token, mxfp8 none, fp8 token",
        spec.get("format"), spec.get("scale"));
  }
  if (format != kNvfp4 && spec.index(kFourOverSix) != 0) {
    return fmt::format("4over6={} needs format=nvfp4; for format={} it must be off",
                       spec.get("4over6"), spec.get("format"));
  }
  if (format == kFp8 && spec.index(kLayout) != 0) {
    return "format=fp8 has no block scales; layout must be linear";
  }
  if (is_staged(spec) && (spec.index(kLayout) == 0 || scale == kExpert)) {
    return fmt::format(
        "staging=on is for block scales in tiles that are the same for all experts: it needs "
        "layout=128x4 "
        "or 8x4, not {}, and scale=tensor, token or none, not {}; staging=off has all",
        spec.get("layout"), spec.get("scale"));
  }
  return {};
}

std::int64_t scale_columns(const KernelSpec& spec, const Args& args) {
  return jit::scale_extent(spec.get("layout"), 0, args.cols / block_columns(spec)).columns;
}

void check_scale_pointers(const KernelSpec& spec, const Args& args) {
  if (has_block_scales(spec)) {
    jit::check_pointer(spec, "scales", args.scales, 16);
  }
  if (spec.index(kScale) == kToken) {
    jit::check_pointer(spec, "token_scales", args.token_scales, alignof(float));
  } else if (spec.index(kScale) == kTensor || (spec.index(kScale) == kExpert && args.experts > 0)) {
    jit::check_pointer(spec, "global_scale", args.global_scale, alignof(float));
  }
  if (has_regions(spec)) {
    jit::check_pointer(spec, "expert_rows", args.expert_rows, alignof(std::int64_t));
  }
  if (is_staged(spec)) {
    jit::check_pointer(spec, "row_entries", args.row_entries, alignof(std::int32_t));
    jit::check_pointer(spec, "workspace", args.workspace, 32);
  } else if (has_regions(spec)) {
    if (args.row_entries != nullptr) {
      throw Error(
          ErrorKind::invalid_argument,
          fmt::format("{}: row_entries must be null; expert_rows says which rows are padding",
                      spec.text()));
    }
  } else if (args.row_entries != nullptr) {
    jit::check_pointer(spec, "row_entries", args.row_entries, alignof(std::int32_t));
  }
}

// So that items of work are fewer than 2^32. Rows have 32 bits anyway.
void check_staged_sizes(const KernelSpec& spec, const Args& args) {
  const auto check = [&](std::string_view name, std::int64_t value, std::int64_t most) {
    if (value > most) {
      throw Error(
          ErrorKind::invalid_argument,
          fmt::format("{}: {} is {}; staging=on takes at most {}", spec.text(), name, value, most));
    }
  };
  check("cols", args.cols, jit::kMostStagedColumns);
  check("tokens", args.tokens, jit::kMostStagedRows);
  check("capacity", args.capacity, jit::kMostStagedRows);
  check("experts", args.experts, jit::kMostStagedExperts);
}

void check_args(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  jit::check_expanded_tokens(spec, args.tokens, args.top_k);
  jit::check_count(spec, "capacity", args.capacity);
  jit::check_count(spec, "experts", args.experts);
  jit::check_columns(spec, args.cols, block_columns(spec));
  if (is_staged(spec)) {
    check_staged_sizes(spec, args);
  }
  jit::check_extent(spec, args.tokens, args.cols);
  jit::check_extent(spec, args.capacity, args.cols);
  jit::check_extent(spec, args.experts, 128 * args.cols);
  if (args.capacity == 0) {
    return;
  }
  jit::check_pointer(spec, "out", args.out, 16);
  check_scale_pointers(spec, args);
  if (args.tokens == 0) {
    return;
  }
  jit::check_pointer(spec, "x", args.x, 32);
  jit::check_pointer(spec, "rows", args.rows, alignof(std::int32_t));
  if (needs_experts(spec)) {
    jit::check_pointer(spec, "expert_ids", args.expert_ids, alignof(std::int32_t));
  }
}

int block_threads(const KernelSpec& spec) {
  if (is_staged(spec)) {
    return jit::kExpandStagingThreads;
  }
  return spec.index(kScale) == kToken ? kTokenThreads : jit::kRowLaunchThreads;
}

// More registers than those at which the compiler, left alone, would stop and spill. Found by compiling.
int min_ctas(const KernelSpec& spec) {
  if (is_staged(spec)) {
    const bool chooses = spec.index(kFourOverSix) != 0;
    const bool older_per_token = spec.target().major() < 9 && spec.index(kScale) == kToken;
    return older_per_token ? (chooses ? 2 : 3) : (chooses ? 3 : 5);
  }
  const bool four_over_six = spec.index(kFourOverSix) != 0;
  const bool late = spec.target().major() >= 12;
  if (spec.index(kScale) == kToken) {
    if (late) {
      return four_over_six ? 2 : 3;
    }
    return spec.index(kFormat) != kNvfp4 || spec.index(kLayout) == 0 ? 0 : four_over_six ? 3 : 4;
  }
  if (spec.target().major() < 10 || !four_over_six) {
    return 0;
  }
  const bool expert = spec.index(kScale) == kExpert;
  const bool software = !spec.target().features().cvt_e2m1;
  return late ? (expert ? 4 : 6) : !expert ? 0 : software ? 5 : 6;
}

// Grid x over the tokens, y over the columns: tiled scales of distant tokens share sectors, so few columns
// at a time, that L2 may hold them.
LaunchShape tokens_first(std::int64_t columns, std::int64_t groups) {
  constexpr std::int64_t kThreads = 64;
  constexpr std::int64_t kMostGridX = std::int64_t{1} << 30;
  constexpr std::int64_t kMostGridY = 65535;
  const std::int64_t threads = std::min(kThreads, jit::round_up(columns, 32));
  LaunchShape shape;
  shape.block[0] = static_cast<std::uint32_t>(threads);
  shape.grid[0] = static_cast<std::uint32_t>(std::min(kMostGridX, groups));
  shape.grid[1] =
      static_cast<std::uint32_t>(std::min(kMostGridY, (columns + threads - 1) / threads));
  return shape;
}

std::int64_t scale_rows(const KernelSpec& spec, const Args& args) {
  return moe::expand_scale_rows(spec.get("layout"), spec.get("index"), args.capacity, args.experts);
}

LaunchShape staged_launch(const KernelSpec& spec, const Args& args, const DeviceFacts& device) {
  const std::int64_t columns = scale_columns(spec, args);
  const jit::ExpandStagingGrid grid = jit::expand_staging_grid(
      {args.tokens, columns * (block_columns(spec) / 16), scale_rows(spec, args), columns,
       spec.index(kScale) == kToken,
       std::int64_t{std::max(1, device.multiprocessors)} * min_ctas(spec)});
  LaunchShape shape;
  shape.block[0] = static_cast<std::uint32_t>(grid.threads);
  shape.grid[0] = static_cast<std::uint32_t>(grid.ctas);
  return shape;
}

LaunchShape launch_shape(const KernelSpec& spec, const void* pointer, const DeviceFacts& device) {
  const auto& args = *static_cast<const Args*>(pointer);
  if (args.capacity == 0) {
    LaunchShape shape;
    shape.empty = true;
    return shape;
  }
  if (is_staged(spec)) {
    return staged_launch(spec, args, device);
  }
  // Beside the tokens there is padding to be zeroed.
  constexpr std::int64_t kPaddingCtas = 1024;
  const std::int64_t padding = has_regions(spec) ? 4 * args.experts : (args.capacity + 31) / 32;
  const std::int64_t groups =
      std::max({args.tokens, std::min(padding, kPaddingCtas), std::int64_t{1}});
  const std::int64_t columns = scale_columns(spec, args) * (block_columns(spec) / 16);
  if (spec.index(kLayout) != 0 && spec.index(kScale) != kToken) {
    return tokens_first(columns, groups);
  }
  LaunchShape shape = jit::row_launch(columns, groups, 1);
  if (spec.index(kScale) == kToken) {
    shape.block[0] = static_cast<std::uint32_t>(
        std::min<std::int64_t>(kTokenThreads, jit::round_up(columns, 32)));
    shape.grid[0] = 1;
  }
  return shape;
}

std::vector<BufferRegion> regions(const KernelSpec& spec, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
  const std::size_t entries = size(args.tokens * args.top_k) * sizeof(std::int32_t);
  const std::size_t row_bytes = size(spec.index(kFormat) == kNvfp4 ? args.cols / 2 : args.cols);
  std::vector<BufferRegion> list{{"x", args.x, size(args.tokens * args.cols) * 2, Access::read},
                                 {"out", args.out, size(args.capacity) * row_bytes, Access::write},
                                 {"rows", args.rows, entries, Access::read}};
  if (has_block_scales(spec)) {
    list.push_back({"scales", args.scales, size(scale_rows(spec, args) * scale_columns(spec, args)),
                    Access::write});
  }
  if (spec.index(kScale) == kToken) {
    list.push_back(
        {"token_scales", args.token_scales, size(args.capacity) * sizeof(float), Access::write});
  } else if (spec.index(kScale) != kNone) {
    const std::int64_t count = spec.index(kScale) == kExpert ? args.experts : 1;
    list.push_back({"global_scale", args.global_scale, size(count) * sizeof(float), Access::read});
  }
  if (needs_experts(spec)) {
    list.push_back({"expert_ids", args.expert_ids, entries, Access::read});
  }
  if (has_regions(spec)) {
    list.push_back({"expert_rows", args.expert_rows, size(args.experts + 1) * sizeof(std::int64_t),
                    Access::read});
  }
  if (args.row_entries != nullptr && (is_staged(spec) || !has_regions(spec))) {
    list.push_back({"row_entries", args.row_entries, size(args.capacity) * sizeof(std::int32_t),
                    Access::read});
  }
  if (is_staged(spec)) {
    list.push_back({"workspace", args.workspace,
                    moe::expand_workspace_bytes(spec.get("format"), args.tokens, args.cols),
                    Access::read_write});
  }
  return list;
}

}  // namespace

const OpDefinition& moe_expand_quantize_op() {
  static constexpr OpDefinition kOp{
      .name = Args::kOp,
      .summary = "rows of tokens quantized, and copied to the rows of their experts",
      .axes = kAxes,
      .template_file = "moe_expand_quantize.cuh",
      .entry_function = "moe_expand_quantize_kernel",
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

namespace moe {

std::int64_t expand_scale_rows(std::string_view layout, std::string_view index,
                               std::int64_t capacity, std::int64_t experts) {
  if (index != "padded" && index != "compact") {
    throw Error(ErrorKind::invalid_spec,
                fmt::format("unknown index \"{}\"; known: padded, compact", index));
  }
  const std::int64_t tile = jit::scale_extent(layout, 1, 1).rows;
  const std::int64_t between = index == "compact" ? (tile - 1) * experts : 0;
  return jit::round_up(capacity + between, tile);
}

std::size_t expand_workspace_bytes(std::string_view format, std::int64_t tokens,
                                   std::int64_t cols) {
  if (format != "nvfp4" && format != "mxfp8") {
    throw Error(
        ErrorKind::invalid_spec,
        fmt::format("no workspace is known for format \"{}\"; known: nvfp4, mxfp8", format));
  }
  const std::int64_t block = format == "nvfp4" ? 16 : 32;
  if (tokens < 0 || cols <= 0 || cols % block != 0 || !jit::fits(tokens, cols, 1)) {
    throw Error(
        ErrorKind::invalid_argument,
        fmt::format(
            "workspace of moe_expand_quantize: tokens is {} and cols {}; cols must be "
            "a positive multiple of {}, tokens not negative, and their product at most 2^47",
            tokens, cols, block));
  }
  return static_cast<std::size_t>(jit::kExpandWorkspaceHeader +
                                  tokens * jit::round_up(cols / block, jit::kExpandWorkspacePitch));
}

}  // namespace moe
}  // namespace fourge
