#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/moe_route_maps.hpp>

#include "jit/ops/arguments.hpp"
#include "jit/ops/moe_axes.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace fourge {
namespace {

constexpr int kThreads = 512;

constexpr Axis kAxes[] = {jit::kMoeIndexAxis};

using Args = MoeRouteMapsArgs;

constexpr Param kParams[] = {
    {"ids", "const int*", offsetof(Args, ids), sizeof(Args::ids)},
    {"rows", "int*", offsetof(Args, rows), sizeof(Args::rows)},
    {"row_entries", "int*", offsetof(Args, row_entries), sizeof(Args::row_entries)},
    {"expert_rows", "long long*", offsetof(Args, expert_rows), sizeof(Args::expert_rows)},
    {"padded_rows", "int*", offsetof(Args, padded_rows), sizeof(Args::padded_rows)},
    {"tile_experts", "int*", offsetof(Args, tile_experts), sizeof(Args::tile_experts)},
    {"tile_limits", "int*", offsetof(Args, tile_limits), sizeof(Args::tile_limits)},
    {"tiles", "int*", offsetof(Args, tiles), sizeof(Args::tiles)},
    {"tokens", "long long", offsetof(Args, tokens), sizeof(Args::tokens)},
    {"top_k", "long long", offsetof(Args, top_k), sizeof(Args::top_k)},
    {"first_expert", "long long", offsetof(Args, first_expert), sizeof(Args::first_expert)},
    {"experts", "long long", offsetof(Args, experts), sizeof(Args::experts)},
    {"tile", "long long", offsetof(Args, tile), sizeof(Args::tile)},
    {"capacity", "long long", offsetof(Args, capacity), sizeof(Args::capacity)}};

std::string refusal(const KernelSpec&) { return {}; }
int block_threads(const KernelSpec&) { return kThreads; }

void check_range(const KernelSpec& spec, std::string_view name, std::int64_t value,
                 std::int64_t least, std::int64_t most) {
  if (value < least || value > most) {
    throw Error(ErrorKind::invalid_argument, fmt::format("{}: {} is {}; it must be from {} to {}",
                                                         spec.text(), name, value, least, most));
  }
}

void check_args(const KernelSpec& spec, const void* pointer) {
  constexpr std::int64_t kMostEntries = (std::int64_t{1} << 20) - 1;
  constexpr std::int64_t kMostRows = 2147483647;
  const auto& args = *static_cast<const Args*>(pointer);
  check_range(spec, "top_k", args.top_k, 1, 32);
  check_range(spec, "tokens", args.tokens, 0, kMostEntries / args.top_k);
  check_range(spec, "experts", args.experts, 0, 512);
  check_range(spec, "first_expert", args.first_expert, 0, kMostRows);
  check_range(spec, "tile", args.tile, 1, spec.get("index") == "compact" ? 1 : 65536);
  check_range(spec, "capacity", args.capacity, 0, kMostRows);
  constexpr std::size_t kInt = alignof(std::int32_t);
  if (args.tokens > 0) {
    jit::check_pointer(spec, "ids", args.ids, kInt);
    jit::check_pointer(spec, "rows", args.rows, kInt);
  }
  if (args.capacity > 0) {
    jit::check_pointer(spec, "row_entries", args.row_entries, kInt);
  }
  jit::check_pointer(spec, "expert_rows", args.expert_rows, alignof(std::int64_t));
  jit::check_pointer(spec, "padded_rows", args.padded_rows, kInt);
  if (args.tile_experts != nullptr || args.tile_limits != nullptr) {
    jit::check_pointer(spec, "tile_experts", args.tile_experts, kInt);
    jit::check_pointer(spec, "tile_limits", args.tile_limits, kInt);
    jit::check_pointer(spec, "tiles", args.tiles, kInt);
  }
}

// Each CTA counts all entries, and gives rows to its share of them.
LaunchShape launch_shape(const KernelSpec&, const void* pointer, const DeviceFacts&) {
  constexpr std::int64_t kEntriesOfCta = 4096;
  constexpr std::int64_t kRowsOfCta = 16384;
  constexpr std::int64_t kMostCtas = 64;
  const auto& args = *static_cast<const Args*>(pointer);
  LaunchShape shape;
  shape.grid[0] = static_cast<std::uint32_t>(std::clamp<std::int64_t>(
      std::max(args.tokens * args.top_k / kEntriesOfCta, args.capacity / kRowsOfCta), 1,
      kMostCtas));
  shape.block[0] = kThreads;
  return shape;
}

std::vector<BufferRegion> regions(const KernelSpec&, const void* pointer) {
  const auto& args = *static_cast<const Args*>(pointer);
  constexpr std::size_t kInt = sizeof(std::int32_t);
  const auto entries = static_cast<std::size_t>(args.tokens * args.top_k);
  std::vector<BufferRegion> list{
      {"ids", args.ids, entries * kInt, Access::read},
      {"rows", args.rows, entries * kInt, Access::write},
      {"row_entries", args.row_entries, static_cast<std::size_t>(args.capacity) * kInt,
       Access::write},
      {"expert_rows", args.expert_rows,
       (static_cast<std::size_t>(args.experts) + 1) * sizeof(std::int64_t), Access::write},
      {"padded_rows", args.padded_rows, kInt, Access::write}};
  if (args.tile_experts != nullptr) {
    const auto tiles = static_cast<std::size_t>(args.capacity / args.tile);
    list.push_back({"tile_experts", args.tile_experts, tiles * kInt, Access::write});
    list.push_back({"tile_limits", args.tile_limits, tiles * kInt, Access::write});
    list.push_back({"tiles", args.tiles, kInt, Access::write});
  }
  return list;
}

}  // namespace

namespace moe {

std::int64_t route_capacity(std::int64_t tokens, std::int64_t top_k, std::int64_t experts,
                            std::int64_t tile) {
  const std::int64_t entries = experts == 0 ? 0 : tokens * top_k;
  const std::int64_t alone = std::min(experts, entries);
  return (alone + (entries - alone) / tile) * tile;
}

}  // namespace moe

const OpDefinition& moe_route_maps_op() {
  static constexpr OpDefinition kOp{
      .name = Args::kOp,
      .summary = "the maps between expanded tokens and experts' rows, by a stable sort",
      .axes = kAxes,
      .template_file = "moe_route_maps.cuh",
      .entry_function = "moe_route_maps_kernel",
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
