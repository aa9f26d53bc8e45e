// What `fourge bench jit` measures: the host side of the compiler, its caches and its launches. All
// figures of one report come from one run; compile times are ratios to NVRTC's time for an empty
// kernel.
#pragma once

#include <fourge/kernel_spec.hpp>
#include <fourge/options.hpp>
#include <fourge/target.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fourge::tools {

// One line of the report.
struct Figure {
  std::string name;
  double value = 0;
  std::string unit;                 // "ns", "us", "ms", "MiB", "x"
  std::optional<double> goal = {};  // at most, or at least
  bool at_least = false;
  std::string note = {};

  bool reached() const { return !goal || (at_least ? value >= *goal : value <= *goal); }
};

struct CompileTime {
  std::string spec;
  double milliseconds = 0;
  double cpu_milliseconds = 0;
  double ratio = 0;      // of the wall times, to the empty kernel
  double cpu_ratio = 0;  // of the CPU times; says more on a machine that is busy otherwise
  std::uint64_t code_bytes = 0;
};

struct CompileTimes {
  double empty_milliseconds = 0;  // median
  double empty_cpu_milliseconds = 0;
  std::vector<CompileTime> variants;
};

// Compiles a pairwise sample of each operation's variants for a target in this process, after a first
// compile that is not counted, and the empty kernel in between. most: variants of each operation; 0:
// the whole sample.
CompileTimes measure_compiles(const Options& options, const std::vector<const OpDefinition*>& ops,
                              const Target& target, std::size_t most);

// Disk hit and memory hit through Runtime::build, on one thread and on sixteen. `spec` is compiled into
// a cache directory below `scratch` first.
std::vector<Figure> measure_hits(Options options, const KernelSpec& spec,
                                 const std::string& scratch);

// Starts this program again (`fourge worker-probe`) on a warm cache directory below `scratch`. With a
// device up to a first launched kernel.
std::vector<Figure> measure_processes(const Options& options, const KernelSpec& spec,
                                      const std::string& scratch, std::optional<int> device);

// `fourge prewarm` of some variants with one worker and with two.
std::vector<Figure> measure_prewarm(const Options& options, const Target& target,
                                    const std::string& scratch);

// Runtime::prepare of a prepared kernel on one thread and on sixteen, and launches through a handle
// beside bare cuLaunchKernelEx calls with the same arguments.
std::vector<Figure> measure_launches(const Options& options, int device);

double median_of(std::vector<double> values);
// CPU time of the calling thread, nanoseconds.
double thread_cpu_nanoseconds();

}  // namespace fourge::tools
