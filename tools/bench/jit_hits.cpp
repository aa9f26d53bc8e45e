#include <chrono>
#include <fourge/error.hpp>
#include <fourge/runtime.hpp>
#include <thread>

#include "cache/disk_store.hpp"
#include "jit/cubin.hpp"
#include "runtime/artifact_builder.hpp"
#include "tools/bench/jit_bench.hpp"
#include "tools/toolkit.hpp"

namespace fourge::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kRounds = 51;
constexpr std::size_t kHitsARound = 4000;
constexpr std::size_t kThreads = 16;
constexpr std::size_t kRoundsOfThreads = 8;

double nanoseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

void require_disk(const Artifact& artifact) {
  if (artifact.origin != Origin::disk) {
    throw Error(ErrorKind::io, artifact.spec.text() + " was not in the cache that was just filled");
  }
}

// What the runtime asks of an entry: that it is a cubin with the kernel in it.
cache::EntryCheck check_of(const KernelSpec& spec) {
  return
      [name = spec.entry_name()](const cache::Entry& entry) -> std::optional<cache::EntryRefusal> {
        if (jit::parse_cubin(entry.payload).find(name) != nullptr) return std::nullopt;
        return cache::EntryRefusal{};
      };
}

// Look-up, read and verification alone; with the source and its key, in a Runtime that has built
// another kernel before; and as the first kernel of a Runtime.
void measure_disk(const Options& options, const KernelSpec& spec, const KernelSpec& other,
                  const FigureReport& report) {
  const cache::CacheKey key = make_key(spec, generate_source(spec), compile_options(spec),
                                       find_nvrtc(options).build_identity);
  cache::DiskStore store(options.cache_directory);
  const cache::EntryCheck check = check_of(spec);
  std::vector<double> entry;
  std::vector<double> next;
  std::vector<double> first;
  for (std::size_t i = 0; i < kRounds; ++i) {
    auto start = Clock::now();
    if (!store.lookup(key, check).entry) {
      throw Error(ErrorKind::io, "an entry that was just written is not there");
    }
    entry.push_back(nanoseconds_since(start) / 1e3);
    Runtime runtime(options);
    start = Clock::now();
    require_disk(*runtime.build(other));
    first.push_back(nanoseconds_since(start) / 1e3);
    start = Clock::now();
    require_disk(*runtime.build(spec));
    next.push_back(nanoseconds_since(start) / 1e3);
  }
  report({"disk hit: look-up, read, verify", median_of(std::move(entry)), "us", 150});
  report({"disk hit through Runtime::build", median_of(std::move(next)), "us", 150, false,
          "with the source and its key"});
  report({"first disk hit of a Runtime",
          median_of(std::move(first)),
          "us",
          {},
          false,
          "also identifies NVRTC's build"});
}

double hit_nanoseconds(Runtime& runtime, const KernelSpec& spec, std::size_t rounds) {
  std::vector<double> samples;
  for (std::size_t round = 0; round < rounds; ++round) {
    const double start = thread_cpu_nanoseconds();
    for (std::size_t i = 0; i < kHitsARound; ++i) runtime.build(spec);
    samples.push_back((thread_cpu_nanoseconds() - start) / static_cast<double>(kHitsARound));
  }
  return median_of(std::move(samples));
}

void measure_memory(Runtime& runtime, const KernelSpec& spec, const FigureReport& report) {
  const double alone = hit_nanoseconds(runtime, spec, kRounds);
  report({"memory hit: Runtime::build",
          alone,
          "ns",
          {},
          false,
          "counts a reference to the artifact; prepare() does not"});
  std::vector<double> each(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] { each[i] = hit_nanoseconds(runtime, spec, kRoundsOfThreads); });
  }
  for (std::thread& thread : threads) thread.join();
  report({"  the same on 16 threads, CPU time of each",
          median_of(std::move(each)),
          "ns",
          {},
          false,
          {}});
}

}  // namespace

void measure_hits(Options options, const KernelSpec& spec, const std::string& scratch,
                  const FigureReport& report) {
  options.cache_directory = scratch + "/hits";
  options.cache_read_only.clear();
  KernelSpec other = spec;  // of the same operation
  other.set_index(0, (spec.index(0) + 1) % spec.op().axes[0].values.size()).check();
  Runtime runtime(options);
  runtime.build(spec);
  runtime.build(other);
  measure_disk(options, spec, other, report);
  measure_memory(runtime, spec, report);
}

}  // namespace fourge::tools
