#include <fourge/moe_route_maps.hpp>

#include "tests/ops/cases/moe_route_cases.hpp"
#include "tests/support/moe_maps.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace fourge::tests {
namespace {

constexpr std::int32_t kPoisonWord = static_cast<std::int32_t>(0xA5A5A5A5U);

struct Tiles {
  std::vector<std::int32_t> experts;
  std::vector<std::int32_t> limits;
  std::vector<std::int32_t> count{0};
};

Tiles tiles_of(const Routing& routing, const RowMaps& maps, std::int64_t tile) {
  Tiles tiles;
  tiles.experts.assign(static_cast<std::size_t>(maps.capacity / tile), kPoisonWord);
  tiles.limits = tiles.experts;
  for (std::int64_t e = 0; e < routing.locals; ++e) {
    const std::int64_t first = maps.expert_rows[static_cast<std::size_t>(e)];
    const std::int64_t rows =
        std::count(routing.ids.begin(), routing.ids.end(), routing.first_local + e);
    for (std::int64_t row = first; row < first + rows; row += tile) {
      const auto index = static_cast<std::size_t>(row / tile);
      tiles.experts[index] = static_cast<std::int32_t>(e);
      tiles.limits[index] = static_cast<std::int32_t>(std::min(row + tile, first + rows));
      ++tiles.count[0];
    }
  }
  return tiles;
}

// What a capacity leaves that is too small by one.
void forget(RowMaps& maps, Tiles& tiles) {
  maps.capacity = maps.used - 1;
  std::fill(maps.rows.begin(), maps.rows.end(), -1);
  maps.entries.assign(static_cast<std::size_t>(maps.capacity), -1);
  std::fill(maps.expert_rows.begin(), maps.expert_rows.end(), 0);
  maps.used = 0;
  tiles.count[0] = 0;
}

OpCall make_call(const KernelSpec& spec, const Routing& routing, std::int64_t tile, bool with_tiles,
                 bool too_small) {
  const auto convention =
      spec.get("index") == "padded" ? IndexConvention::padded : IndexConvention::compact;
  RowMaps maps = make_row_maps(routing, convention, tile);
  Tiles tiles = tiles_of(routing, maps, tile);
  if (too_small) {
    forget(maps, tiles);
    tiles.experts.assign(static_cast<std::size_t>(maps.capacity / tile), kPoisonWord);
    tiles.limits = tiles.experts;
  }
  const std::vector<std::int32_t> ids(routing.ids.begin(), routing.ids.end());
  const std::vector<std::int32_t> used{static_cast<std::int32_t>(maps.used)};
  if (!with_tiles) {
    tiles = {{}, {}, {}};
  }
  OpCall call{
      spec,
      routing.label + ", tile " + std::to_string(tile) + (too_small ? ", capacity too small" : ""),
      {input_buffer("ids", ids), output_buffer("rows", maps.rows),
       output_buffer("row_entries", maps.entries), output_buffer("expert_rows", maps.expert_rows),
       output_buffer("padded_rows", used), output_buffer("tile_experts", tiles.experts),
       output_buffer("tile_limits", tiles.limits), output_buffer("tiles", tiles.count)},
      {},
      {}};
  MoeRouteMapsArgs args;
  args.tokens = routing.tokens;
  args.top_k = routing.top_k;
  args.first_expert = routing.first_local;
  args.experts = routing.locals;
  args.tile = tile;
  args.capacity = maps.capacity;
  call.args = [args, with_tiles](std::span<std::uint8_t* const> at) {
    const auto ints = [&](std::size_t i) { return reinterpret_cast<std::int32_t*>(at[i]); };
    MoeRouteMapsArgs filled = args;
    filled.ids = ints(0);
    filled.rows = ints(1);
    filled.row_entries = ints(2);
    filled.expert_rows = reinterpret_cast<std::int64_t*>(at[3]);
    filled.padded_rows = ints(4);
    if (with_tiles) {
      filled.tile_experts = ints(5);
      filled.tile_limits = ints(6);
      filled.tiles = ints(7);
    }
    return args_bytes(filled);
  };
  return call;
}

}  // namespace

void visit_moe_route_maps_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  const bool padded = spec.get("index") == "padded";
  std::vector<Routing> routings = usual_routings();
  if (size == CallSize::large) {
    routings = {random_routing(16384, 8, 256, 0, 256, 11),
                random_routing(16384, 8, 256, 64, 32, 12),
                random_routing(30000, 32, 512, 0, 512, 13), counted_routing({100000})};
  } else {
    // These take two CTAs, four, and three with an expert that has most.
    routings.push_back(random_routing(1100, 8, 64, 16, 32, 14));
    routings.push_back(random_routing(4100, 4, 300, 0, 290, 16));
    routings.push_back(counted_routing({11000, 0, 3, 1290}));
    routings.push_back(random_routing(40, 30, 512, 0, 512, 15));
  }
  const std::vector<std::int64_t> tiles =
      padded ? std::vector<std::int64_t>{1, 8, 128, 192} : std::vector<std::int64_t>{1};
  bool with_tiles = false;
  for (const Routing& routing : routings) {
    for (const std::int64_t tile : tiles) {
      with_tiles = !with_tiles;
      sink(make_call(spec, routing, tile, with_tiles, false));
    }
    const bool has_rows = make_row_maps(routing, IndexConvention::compact, 1).used > 1;
    if (has_rows) {
      sink(make_call(spec, routing, tiles.back(), true, true));
    }
  }
}

}  // namespace fourge::tests
