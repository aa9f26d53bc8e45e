#include "tools/bench/moe_tables.hpp"

#include <algorithm>
#include <fourge/moe_route_maps.hpp>
#include <numeric>
#include <random>
#include <utility>

namespace fourge::tools {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

MoeTables make_moe_tables(std::int64_t tokens, bool padded) {
  MoeTables tables;
  std::mt19937_64 random(17);
  std::vector<std::int32_t> all(index(kBenchExperts));
  std::iota(all.begin(), all.end(), 0);
  std::vector<std::int64_t> counts(index(kBenchExperts));
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t j = 0; j < kBenchTopK; ++j) {
      const auto left = static_cast<std::uint64_t>(kBenchExperts - j);
      std::swap(all[index(j)], all[index(j) + random() % left]);
      tables.ids.push_back(all[index(j)]);
      ++counts[static_cast<std::size_t>(all[index(j)])];
    }
  }
  const std::int64_t tile = padded ? kBenchTile : 1;
  for (const std::int64_t count : counts) {
    tables.expert_rows.push_back(tables.used);
    tables.used += (count + tile - 1) / tile * tile;
  }
  tables.expert_rows.push_back(tables.used);
  tables.capacity = moe::route_capacity(tokens, kBenchTopK, kBenchExperts, tile);
  tables.rows.resize(tables.ids.size());
  tables.entries.assign(index(tables.capacity), -1);
  std::vector<std::int64_t> next = tables.expert_rows;
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t j = 0; j < kBenchTopK; ++j) {
      const auto expert = static_cast<std::size_t>(tables.ids[index(t * kBenchTopK + j)]);
      const std::int64_t entry = padded ? t * kBenchTopK + j : j * tokens + t;
      const std::int64_t row = next[expert]++;
      tables.rows[index(entry)] = static_cast<std::int32_t>(row);
      tables.entries[index(row)] = static_cast<std::int32_t>(entry);
    }
  }
  return tables;
}

}  // namespace fourge::tools
