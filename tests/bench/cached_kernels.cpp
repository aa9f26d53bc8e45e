// Through the Runtime: a spec that is built already, and one that is on disk. Both need one compile
// before, so they are skipped without NVRTC.
#include <benchmark/benchmark.h>

#include <fourge/error.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>
#include <memory>
#include <string>

#include "tests/bench/entry_tree.hpp"

namespace fourge::bench {

namespace {

const KernelSpec& spec() {
  static const KernelSpec one = KernelSpec::parse("nvfp4_quantize[layout=128x4]@sm_90a");
  return one;
}

Options options_below(const ScratchDirectory& scratch) {
  Options options = Options::from_environment();
  options.cache_directory = scratch.path() + "/cache";
  options.cache_read_only.clear();
  options.runtime_directory = scratch.path();
  return options;
}

// Threads of one benchmark share it.
struct Shared {
  ScratchDirectory scratch;
  Runtime runtime{options_below(scratch)};
};

Shared& shared() {
  static Shared one;
  return one;
}

void memory_hit(benchmark::State& state) {
  try {
    shared().runtime.build(spec());
  } catch (const Error& error) {
    return state.SkipWithError(error.what());
  }
  Runtime& runtime = shared().runtime;
  const KernelSpec mine = spec();
  for (auto _ : state) benchmark::DoNotOptimize(runtime.build(mine));
}
BENCHMARK(memory_hit)->Threads(1)->Threads(16)->UseRealTime();

// A Runtime of its own each time, so that memory has nothing: source, key, look-up, verification and
// the ELF tables.
void runtime_disk_hit(benchmark::State& state) {
  try {
    shared().runtime.build(spec());
  } catch (const Error& error) {
    return state.SkipWithError(error.what());
  }
  for (auto _ : state) {
    state.PauseTiming();
    auto runtime = std::make_unique<Runtime>(options_below(shared().scratch));
    state.ResumeTiming();
    const auto artifact = runtime->build(spec());
    if (artifact->origin != Origin::disk) return state.SkipWithError("not from disk");
    state.PauseTiming();
    runtime.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(runtime_disk_hit)->Unit(benchmark::kMicrosecond);

}  // namespace

}  // namespace fourge::bench
