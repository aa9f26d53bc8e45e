// One entry: its key, a hit in the store and in a bundle, and what a miss costs before the compile.
#include <benchmark/benchmark.h>

#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cache/bundle_reader.hpp"
#include "cache/bundle_writer.hpp"
#include "cache/disk_store.hpp"
#include "cache/evictor.hpp"
#include "cache/read_only_tier.hpp"
#include "cache/tiered_cache.hpp"
#include "tests/bench/entry_tree.hpp"

namespace fourge::bench {

namespace {

constexpr std::size_t kKernelBytes = 50'000;  // of a payload, as large as a cubin
constexpr std::size_t kBundleEntries = 100;

void make_key(benchmark::State& state) {
  std::size_t number = 0;
  for (auto _ : state) benchmark::DoNotOptimize(key_number(number++));
}
BENCHMARK(make_key);

// Open, read, digest, key: all but the ELF tables, which the runtime looks at.
void disk_hit(benchmark::State& state) {
  const ScratchDirectory scratch;
  fill_store(scratch.path() + "/cache", 1, kKernelBytes);
  cache::DiskStore store(scratch.path() + "/cache");
  const cache::CacheKey key = key_number(0);
  for (auto _ : state) {
    const cache::LookupResult found = store.lookup(key);
    if (!found.entry) return state.SkipWithError(found.detail.c_str());
    benchmark::DoNotOptimize(found.entry->payload.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kKernelBytes));
}
BENCHMARK(disk_hit);

void disk_miss(benchmark::State& state) {
  const ScratchDirectory scratch;
  fill_store(scratch.path() + "/cache", 1, kKernelBytes);
  cache::DiskStore store(scratch.path() + "/cache");
  const cache::CacheKey key = key_number(1);
  for (auto _ : state) {
    const cache::LookupResult found = store.lookup(key);
    if (found.entry) return state.SkipWithError("an entry that is not there was found");
  }
}
BENCHMARK(disk_miss);

std::string write_bundle(const ScratchDirectory& scratch) {
  const std::string root = scratch.path() + "/source";
  fill_store(root, kBundleEntries, kKernelBytes);
  const cache::DiskStore store(root);
  cache::BundleWriter writer;
  for (std::size_t i = 0; i < kBundleEntries; ++i) writer.add(store.path_of(key_number(i)));
  std::string path = scratch.path() + "/all.fourge";
  std::ofstream file(path, std::ios::binary);
  writer.write(
      [&file](std::span<const std::byte> piece) {
        file.write(reinterpret_cast<const char*>(piece.data()),
                   static_cast<std::streamsize>(piece.size()));
      },
      nullptr);
  return path;
}

void bundle_open(benchmark::State& state) {
  const ScratchDirectory scratch;
  const std::string path = write_bundle(scratch);
  for (auto _ : state) {
    const auto opened = cache::BundleReader::open(path, nullptr);
    if (!opened.reader) return state.SkipWithError(opened.detail.c_str());
  }
}
BENCHMARK(bundle_open);

void bundle_hit(benchmark::State& state) {
  const ScratchDirectory scratch;
  const auto opened = cache::BundleReader::open(write_bundle(scratch), nullptr);
  if (!opened.reader) return state.SkipWithError(opened.detail.c_str());
  const cache::CacheKey key = key_number(kBundleEntries / 2);
  for (auto _ : state) {
    const cache::LookupResult found = opened.reader->lookup(key);
    if (!found.entry) return state.SkipWithError(found.detail.c_str());
    benchmark::DoNotOptimize(found.entry->payload.data());
  }
}
BENCHMARK(bundle_hit);

// The tiers of a server: its own directory and one bundle. No promotion, or there were one hit only.
struct Tiers {
  explicit Tiers(const ScratchDirectory& scratch)
      : store(scratch.path() + "/cache"), evictor(scratch.path() + "/cache") {
    std::vector<std::unique_ptr<cache::ReadOnlyTier>> lower;
    lower.push_back(cache::make_read_only_tier(write_bundle(scratch), ""));
    tiers = std::make_unique<cache::TieredCache>(&store, std::move(lower), false, &evictor);
  }

  cache::DiskStore store;
  cache::Evictor evictor;
  std::unique_ptr<cache::TieredCache> tiers;
};

void tiered_bundle_hit(benchmark::State& state) {
  const ScratchDirectory scratch;
  fill_store(scratch.path() + "/cache", 1, kKernelBytes);
  const Tiers all(scratch);
  const cache::CacheKey key = key_number(kBundleEntries / 2);
  for (auto _ : state) {
    const cache::TieredResult found = all.tiers->lookup(key);
    if (!found.entry) return state.SkipWithError("the bundle's entry was not found");
    benchmark::DoNotOptimize(found.entry->payload.data());
  }
}
BENCHMARK(tiered_bundle_hit);

void tiered_miss(benchmark::State& state) {
  const ScratchDirectory scratch;
  fill_store(scratch.path() + "/cache", 1, kKernelBytes);
  const Tiers all(scratch);
  const cache::CacheKey key = key_number(kBundleEntries);
  for (auto _ : state) {
    const cache::TieredResult found = all.tiers->lookup(key);
    if (found.entry) return state.SkipWithError("an entry that is not there was found");
    benchmark::DoNotOptimize(found.misses.data());
  }
}
BENCHMARK(tiered_miss);

}  // namespace

}  // namespace fourge::bench
