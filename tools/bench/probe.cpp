// fourge probe: one kernel in a fresh process, for `fourge bench jit`. Prints when it was where, on the
// clock that processes share.
#include <fourge/device.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>

#include <ctime>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "tools/command.hpp"
#include "tools/report.hpp"

namespace fourge::tools {
namespace {

struct ProbeOptions {
  std::string spec;
  int device = -1;
};

std::int64_t shared_clock() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

bool maps_nvrtc() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("libnvrtc") != std::string::npos) return true;
  }
  return false;
}

std::int64_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::stoll(line.substr(6));
  }
  return 0;
}

// A row of 16 numbers.
struct SmallCall {
  explicit SmallCall(const DeviceContext& context)
      : x(context, 256), codes(context, 256), scales(context, 4096), stream(context) {
    args.x = x.data();
    args.codes = codes.data();
    args.scales = scales.data();
    args.global_scale_value = 448;
    args.rows = 1;
    args.cols = 16;
  }
  DeviceBuffer x;
  DeviceBuffer codes;
  DeviceBuffer scales;
  Stream stream;
  Nvfp4QuantizeArgs args;
};

ExitCode probe(const ProbeOptions& probe, const CommonOptions& common, std::int64_t started) {
  Json answer{{"started", started}};
  std::optional<DeviceContext> context;
  std::optional<SmallCall> call;
  if (probe.device >= 0) {
    const std::int64_t before = shared_clock();
    context.emplace(probe.device);
    call.emplace(*context);
    answer["driver_ns"] = shared_clock() - before;
  }
  Runtime runtime(library_options(common));
  const KernelSpec spec = KernelSpec::parse(probe.spec);
  const auto artifact = runtime.build(spec);
  answer["built"] = shared_clock();
  answer["origin"] = to_string(artifact->origin);
  if (context) {
    const Kernel kernel = runtime.prepare(spec);
    answer["prepared"] = shared_clock();
    kernel.launch(call->args, call->stream.get());
    answer["launched"] = shared_clock();
    call->stream.synchronize();
    answer["ran"] = shared_clock();
  }
  answer["nvrtc_mapped"] = maps_nvrtc();
  answer["resident_kib"] = resident_kib();
  print_text(one_line(answer) + "\n");
  return ExitCode::ok;
}

}  // namespace

void add_probe(CLI::App& app, CommandLine& line) {
  const std::int64_t started = shared_clock();
  CLI::App& command = add_command(app, line, "probe", "One kernel in a fresh process");
  command.group("");  // not for people
  auto options = std::make_shared<ProbeOptions>();
  command.add_option("spec", options->spec, "Spec of the kernel")->required();
  command.add_option("--device", options->device, "Launch it there");
  command.callback([&line, options, started] {
    line.action = [&line, options, started] { return probe(*options, line.common, started); };
  });
}

}  // namespace fourge::tools
