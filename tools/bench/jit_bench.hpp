// What `fourge bench jit` measures: the host side of the compiler, its caches and its launches. All
// figures of one report come from one run; compile times are ratios to NVRTC's time for an empty
// kernel.
#pragma once

#include <fourge/kernel_spec.hpp>
#include <fourge/options.hpp>
#include <fourge/target.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/bench/median.hpp"

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

// What takes a figure as soon as it is there.
using FigureReport = std::function<void(const Figure&)>;

// All of these end early when an interruption is wanted.

inline constexpr std::uint64_t kSampleSeed = 9;
// Pairwise samples of each operation's variants for a target, the same for the same arguments. most: variants of each
// operation; 0: the whole sample.
std::vector<KernelSpec> compile_sample(const std::vector<const OpDefinition*>& ops,
                                       const Target& target, std::size_t most);

// Compiles them in this process, after a first compile that is not counted, and the empty kernel in between.
// report: after each one, with all so far; ratios are final when this returns.
CompileTimes measure_compiles(const Options& options, const std::vector<KernelSpec>& specs,
                              const std::function<void(const CompileTimes&)>& report);

// Disk hit and memory hit through Runtime::build, on one thread and on sixteen. `spec` is compiled into
// a cache directory below `scratch` first.
void measure_hits(Options options, const KernelSpec& spec, const std::string& scratch,
                  const FigureReport& report);

// Starts this program again (`fourge probe`) on a warm cache directory below `scratch`. With a
// device up to a first launched kernel.
void measure_processes(const Options& options, const KernelSpec& spec, const std::string& scratch,
                       std::optional<int> device, const FigureReport& report);

// `fourge prewarm` of some variants with one worker and with two.
void measure_prewarm(const Options& options, const Target& target, const std::string& scratch,
                     const FigureReport& report);

// Runtime::prepare of a prepared kernel on one thread and on sixteen, and launches through a handle
// beside bare cuLaunchKernelEx calls with the same arguments.
void measure_launches(const Options& options, int device, const FigureReport& report);

// CPU time of the calling thread, nanoseconds.
double thread_cpu_nanoseconds();

}  // namespace fourge::tools
