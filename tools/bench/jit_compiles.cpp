#include <algorithm>
#include <chrono>
#include <ctime>
#include <fourge/error.hpp>
#include <fourge/runtime.hpp>

#include "jit/cubin.hpp"
#include "jit/nvrtc.hpp"
#include "jit/pairwise_sample.hpp"
#include "jit/source_generator.hpp"
#include "tools/bench/jit_bench.hpp"
#include "tools/interruption.hpp"
#include "tools/report.hpp"
#include "tools/toolkit.hpp"

namespace fourge::tools {
namespace {

constexpr const char* kEmptyKernel = "extern \"C\" __global__ void empty() {}\n";
constexpr std::size_t kBetween = 4;  // variants from one empty kernel to the next

double cpu_nanoseconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

struct Timed {
  double milliseconds = 0;
  double cpu_milliseconds = 0;
  jit::CompileOutput output;
};

Timed compile(const jit::Nvrtc& nvrtc, const std::string& source, const std::string& name,
              const Target& target) {
  const std::vector<std::string> options = jit::nvrtc_options(target);
  const double cpu = cpu_nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
  const auto start = std::chrono::steady_clock::now();
  Timed timed;
  timed.output = nvrtc.compile(source, name, options);
  timed.milliseconds = milliseconds(std::chrono::steady_clock::now() - start);
  timed.cpu_milliseconds = (cpu_nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e6;
  if (!timed.output.ok) {
    throw Error(ErrorKind::internal, name + " does not compile: " + timed.output.log);
  }
  return timed;
}

void set_ratios(CompileTimes& times, const std::vector<double>& wall,
                const std::vector<double>& cpu) {
  times.empty_milliseconds = median_of(wall);
  times.empty_cpu_milliseconds = median_of(cpu);
  for (CompileTime& one : times.variants) {
    one.ratio = one.milliseconds / times.empty_milliseconds;
    one.cpu_ratio = one.cpu_milliseconds / times.empty_cpu_milliseconds;
  }
}

}  // namespace

double thread_cpu_nanoseconds() { return cpu_nanoseconds(CLOCK_THREAD_CPUTIME_ID); }

std::vector<KernelSpec> compile_sample(const std::vector<const OpDefinition*>& ops,
                                       const Target& target, std::size_t most) {
  std::vector<KernelSpec> specs;
  for (const OpDefinition* op : ops) {
    std::vector<KernelSpec> some = jit::pairwise_sample(legal_variants(*op, target), kSampleSeed);
    if (most != 0 && some.size() > most) some.resize(most, some.front());
    specs.insert(specs.end(), some.begin(), some.end());
  }
  return specs;
}

CompileTimes measure_compiles(const Options& options, const std::vector<KernelSpec>& specs,
                              const std::function<void(const CompileTimes&)>& report) {
  const jit::NvrtcLocation location = find_nvrtc(options);
  if (!location.found()) {
    throw Error(ErrorKind::library_missing, jit::nvrtc_missing_message(location));
  }
  const jit::Nvrtc nvrtc(location.path);
  std::vector<double> wall;
  std::vector<double> cpu;
  const auto empty = [&](const Target& target) {
    const Timed timed = compile(nvrtc, kEmptyKernel, "empty.cu", target);
    wall.push_back(timed.milliseconds);
    cpu.push_back(timed.cpu_milliseconds);
  };
  CompileTimes times;
  if (specs.empty()) return times;
  // The first one loads NVRTC's own parts.
  compile(nvrtc, kEmptyKernel, "empty.cu", specs.front().target());
  for (const KernelSpec& spec : specs) {
    if (Interruption::wanted()) break;
    if (times.variants.size() % kBetween == 0) empty(spec.target());
    const Timed timed =
        compile(nvrtc, generate_source(spec), spec.entry_name() + ".cu", spec.target());
    CompileTime one{spec.text(), timed.milliseconds, timed.cpu_milliseconds, 0, 0, 0};
    const jit::CubinInfo info = jit::parse_cubin(timed.output.cubin);
    if (const auto* kernel = info.find(spec.entry_name())) one.code_bytes = kernel->code_bytes;
    times.variants.push_back(std::move(one));
    set_ratios(times, wall, cpu);
    report(times);
  }
  return times;
}

}  // namespace fourge::tools
