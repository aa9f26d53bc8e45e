#include "tests/support/moe_maps.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

namespace fourge::tests {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

Routing random_routing(std::int64_t tokens, std::int64_t top_k, std::int64_t experts,
                       std::int64_t first_local, std::int64_t locals, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::int64_t> all(index(experts));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  Routing routing{std::to_string(tokens) + " tokens to " + std::to_string(top_k) + " of " +
                      std::to_string(experts) + " experts, " + std::to_string(locals) + " here",
                  tokens,
                  top_k,
                  experts,
                  first_local,
                  locals,
                  {}};
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t j = 0; j < top_k; ++j) {
      const auto other =
          j + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(experts - j));
      std::swap(all[index(j)], all[index(other)]);
      routing.ids.push_back(all[index(j)]);
    }
  }
  return routing;
}

Routing counted_routing(std::vector<std::int64_t> counts) {
  Routing routing;
  routing.label = "experts with";
  routing.experts = routing.locals = std::ssize(counts);
  for (std::int64_t e = 0; e < routing.experts; ++e) {
    routing.ids.insert(routing.ids.end(), index(counts[index(e)]), e);
    routing.label += " " + std::to_string(counts[index(e)]);
  }
  routing.tokens = std::ssize(routing.ids);
  routing.label += " rows";
  return routing;
}

std::vector<Routing> usual_routings() {
  return {random_routing(0, 2, 4, 0, 4, 1),    random_routing(1, 8, 8, 0, 8, 2),
          random_routing(6, 2, 9, 8, 0, 3),    counted_routing({37}),
          counted_routing({127, 0, 129, 128}), random_routing(33, 3, 16, 4, 5, 4),
          random_routing(67, 4, 6, 0, 6, 5)};
}

std::int64_t token_of_entry(const Routing& routing, IndexConvention convention,
                            std::int64_t entry) {
  return convention == IndexConvention::padded ? entry / routing.top_k : entry % routing.tokens;
}

RowMaps make_row_maps(const Routing& routing, IndexConvention convention, std::int64_t tile) {
  const auto entry_of = [&](std::int64_t token, std::int64_t j) {
    return index(convention == IndexConvention::padded ? token * routing.top_k + j
                                                       : j * routing.tokens + token);
  };
  RowMaps maps;
  maps.rows.assign(routing.ids.size(), -1);
  for (std::int64_t e = 0; e < routing.locals; ++e) {
    maps.expert_rows.push_back(maps.used);
    for (std::int64_t t = 0; t < routing.tokens; ++t) {
      for (std::int64_t j = 0; j < routing.top_k; ++j) {
        if (routing.ids[index(t * routing.top_k + j)] == routing.first_local + e) {
          maps.rows[entry_of(t, j)] = static_cast<std::int32_t>(maps.used++);
        }
      }
    }
    maps.used = (maps.used + tile - 1) / tile * tile;
  }
  maps.expert_rows.push_back(maps.used);
  maps.capacity = maps.used + 5;
  maps.entries.assign(index(maps.capacity), -1);
  for (std::size_t entry = 0; entry < maps.rows.size(); ++entry) {
    if (maps.rows[entry] >= 0) {
      maps.entries[static_cast<std::size_t>(maps.rows[entry])] = static_cast<std::int32_t>(entry);
    }
  }
  return maps;
}

}  // namespace fourge::tests
