#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fourge/error.hpp>
#include <fourge/runtime.hpp>

#include "runtime/worker/child_process.hpp"
#include "tools/bench/jit_bench.hpp"
#include "tools/interruption.hpp"
#include "tools/report.hpp"

namespace fourge::tools {
namespace {

constexpr std::size_t kProcesses = 21;
constexpr std::size_t kDeviceProcesses = 11;  // each initialises the driver

double now_nanoseconds() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

std::string this_program() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

Json run_json(const std::vector<std::string>& command) {
  const worker::ProgramOutput output = worker::run_program(command);
  if (output.status != 0) {
    throw Error(ErrorKind::io, fmt::format("{} {} ended with {}", command[0], command[1],
                                           worker::describe_status(output.status)));
  }
  return Json::parse(output.text);
}

// What children report of their progress is not for the reader of a table.
class QuietError {
 public:
  QuietError() : kept_(::dup(STDERR_FILENO)) {
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0) {
      ::dup2(nowhere, STDERR_FILENO);
      ::close(nowhere);
    }
  }
  ~QuietError() {
    if (kept_ >= 0) {
      ::dup2(kept_, STDERR_FILENO);
      ::close(kept_);
    }
  }
  QuietError(const QuietError&) = delete;
  QuietError& operator=(const QuietError&) = delete;

 private:
  int kept_;
};

struct Samples {
  std::vector<double> main;
  std::vector<double> built;
  std::vector<double> loading;  // from built to prepared
  std::vector<double> launched;
  std::vector<double> ran;
  std::vector<double> driver;
  std::vector<double> resident;
  bool nvrtc = false;
};

Samples run_probes(const std::vector<std::string>& command, std::size_t processes) {
  Samples samples;
  run_json(command);  // the program's file is in memory afterwards
  for (std::size_t i = 0; i < processes && !Interruption::wanted(); ++i) {
    const double start = now_nanoseconds();
    const Json answer = run_json(command);
    const auto since = [&](const char* name) {
      return (answer.at(name).get<double>() - start) / 1e6;
    };
    if (answer.at("origin") != to_string(Origin::disk)) {
      throw Error(ErrorKind::io, "a fresh process did not find the kernel on disk");
    }
    samples.main.push_back(since("started"));
    const double driver = answer.value("driver_ns", 0.0) / 1e6;
    samples.built.push_back(since("built") - driver);
    samples.resident.push_back(answer.at("resident_kib").get<double>() / 1024);
    samples.nvrtc = samples.nvrtc || answer.at("nvrtc_mapped").get<bool>();
    if (answer.contains("launched")) {
      samples.driver.push_back(driver);
      samples.loading.push_back(since("prepared") - since("built"));
      samples.launched.push_back(since("launched") - driver);
      samples.ran.push_back(since("ran") - driver);
    }
  }
  return samples;
}

double prewarm_seconds(const Options& options, const Target& target, const std::string& cache,
                       int workers) {
  std::vector<std::string> command{this_program(),
                                   "prewarm",
                                   "--json",
                                   "--log",
                                   "error",
                                   "--cache-dir",
                                   cache,
                                   "--target",
                                   target.text(),
                                   "--op",
                                   "nvfp4_quantize",
                                   "--variants",
                                   "scale=tensor,in=bf16,math=exact,4over6=off,4over6=mae448",
                                   "--jobs",
                                   std::to_string(workers)};
  if (!options.nvrtc_library.empty()) {
    command.insert(command.end(), {"--nvrtc", options.nvrtc_library});
  }
  const QuietError quiet;
  return run_json(command).at("seconds").get<double>();
}

}  // namespace

void measure_processes(const Options& options, const KernelSpec& spec, const std::string& scratch,
                       std::optional<int> device, const FigureReport& report) {
  Options own = options;
  own.cache_directory = scratch + "/processes";
  own.cache_read_only.clear();
  Runtime(own).build(spec);
  std::vector<std::string> command{this_program(),      "probe", spec.text(), "--cache-dir",
                                   own.cache_directory, "--log", "error"};
  if (!options.nvrtc_library.empty()) {
    command.insert(command.end(), {"--nvrtc", options.nvrtc_library});
  }
  const Samples alone = run_probes(command, kProcesses);
  if (Interruption::wanted()) return;
  report({"fresh process until main", median_of(alone.main), "ms"});
  report({"fresh process to its first kernel from disk", median_of(alone.built), "ms", 3, false,
          "no driver"});
  report({"resident memory of that process", median_of(alone.resident), "MiB"});
  report({"  libnvrtc mapped in it", alone.nvrtc ? 1.0 : 0.0, "", 0});
  if (device) {
    command.insert(command.end(), {"--device", std::to_string(*device)});
    const Samples launched = run_probes(command, kDeviceProcesses);
    if (Interruption::wanted()) return;
    report({"the driver's own initialisation",
            median_of(launched.driver),
            "ms",
            {},
            false,
            "cuInit, context, stream, three buffers"});
    report({"fresh process to its first launched kernel, beyond that", median_of(launched.launched),
            "ms", 3});
    report({"  of that, until its cubin was there", median_of(launched.built), "ms"});
    report({"  of that, loading it into the driver", median_of(launched.loading), "ms"});
    report({"  until the kernel has run", median_of(launched.ran), "ms"});
    report({"  libnvrtc mapped in it", launched.nvrtc ? 1.0 : 0.0, "", 0});
  }
}

void measure_prewarm(const Options& options, const Target& target, const std::string& scratch,
                     const FigureReport& report) {
  const double one = prewarm_seconds(options, target, scratch + "/prewarm1", 1);
  report({"prewarm with one worker", one * 1e3, "ms"});
  if (Interruption::wanted()) return;
  const double two = prewarm_seconds(options, target, scratch + "/prewarm2", 2);
  report({"prewarm with two workers", two * 1e3, "ms"});
  report({"  one over two", one / two, "x", 1.8, true});
}

}  // namespace fourge::tools
