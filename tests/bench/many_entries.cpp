// Look-ups in a store of 10, 10^3 and 10^5 entries: the time must not depend on the number.
#include <benchmark/benchmark.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cache/disk_store.hpp"
#include "tests/bench/entry_tree.hpp"
#include "tests/bench/large_trees.hpp"

namespace fourge::bench {

namespace {

constexpr std::size_t kTinyPayload = 64;  // bytes
constexpr std::size_t kKeys = 1000;       // that are asked for in turn
constexpr std::size_t kStride = 7919;     // a prime: entries from everywhere in the store

// Each tree is made once and kept until release_trees().
std::map<std::size_t, std::unique_ptr<ScratchDirectory>>& trees() {
  static std::map<std::size_t, std::unique_ptr<ScratchDirectory>> all;
  return all;
}

std::string tree_of(std::size_t count) {
  std::unique_ptr<ScratchDirectory>& tree = trees()[count];
  if (!tree) {
    tree = std::make_unique<ScratchDirectory>();
    fill_store(tree->path() + "/cache", count, kTinyPayload);
  }
  return tree->path() + "/cache";
}

template <class Find>
void visit(benchmark::State& state, const Find& find) {
  const auto count = static_cast<std::size_t>(state.range(0));
  cache::DiskStore store(tree_of(count));
  std::vector<cache::CacheKey> keys;
  for (std::size_t i = 0; i < kKeys; ++i) keys.push_back(key_number(i * kStride % count));
  std::size_t next = 0;
  for (auto _ : state) {
    const cache::LookupResult found = find(store, keys[next++ % kKeys]);
    if (!found.entry) return state.SkipWithError(found.detail.c_str());
  }
}

void lookup(benchmark::State& state) {
  visit(state,
        [](cache::DiskStore& store, const cache::CacheKey& key) { return store.lookup(key); });
}
BENCHMARK(lookup)->Arg(10)->Arg(1000)->Arg(100'000);

void lookup_request(benchmark::State& state) {
  visit(state, [](cache::DiskStore& store, const cache::CacheKey& key) {
    return store.lookup_request(key);
  });
}
BENCHMARK(lookup_request)->Arg(10)->Arg(1000)->Arg(100'000);

}  // namespace

void release_trees() { trees().clear(); }

}  // namespace fourge::bench
