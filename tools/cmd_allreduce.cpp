// fourge bench allreduce: how fast ranks add up together; fourge tune allreduce: which algorithm is the faster
// one from which number of rows on.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fourge/device.hpp>
#include <fourge/error.hpp>

#include "runtime/comm/tuned_algorithm.hpp"
#include "tools/bench/allreduce_bench.hpp"
#include "tools/bench/series.hpp"
#include "tools/command.hpp"
#include "tools/report.hpp"

namespace fourge::tools {
namespace {

constexpr const char* kBenchTokens = "1,2,4,8,16,32,64,128,256,512,1024,2048";
constexpr const char* kTuneTokens = "1,8,16,32,48,64,96,128,192,256,384,512,1024,2048";

struct AllreduceOptions {
  int ranks = 2;
  std::string tokens;
  std::string axes = "out=nvfp4";
  std::string dtype = "bf16";
  std::int64_t cols = 7168;
  std::size_t samples = 20;
  std::string nccl = "libnccl.so.2";
  bool dependent_launch = false;
  bool no_nccl = false;
  bool multicast = false;
  bool dry_run = false;
};

std::vector<std::int64_t> parse_tokens(const std::string& text) {
  std::vector<std::int64_t> tokens;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string item = text.substr(at, end - at);
    char* rest = nullptr;
    const long long value = std::strtoll(item.c_str(), &rest, 10);
    if (item.empty() || *rest != '\0' || value < 1 || value > 65536) {
      throw Error(ErrorKind::invalid_argument,
                  fmt::format("tokens: \"{}\" is no number from 1 to 65536", item));
    }
    tokens.push_back(value);
    at = end + 1;
  }
  return tokens;
}

AllreduceBench bench_of(const AllreduceOptions& options) {
  if (options.ranks < 2 || options.ranks > comm::kMostRanks) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{} ranks; 2 to {} are possible", options.ranks, comm::kMostRanks));
  }
  AllreduceBench bench;
  bench.ranks = options.ranks;
  bench.tokens = parse_tokens(options.tokens);
  bench.cols = options.cols;
  bench.dtype = options.dtype;
  bench.axes = options.axes;
  bench.samples = std::max<std::size_t>(options.samples, 3);
  bench.dependent_launch = options.dependent_launch;
  bench.with_nccl = !options.no_nccl;
  bench.nccl_library = options.nccl;
  return bench;
}

Json to_json(const AllreduceTime& time) {
  return {{"median_us", time.median_us},
          {"calls", time.calls},
          {"difference", time.difference},
          {"equal_codes", time.equal_codes}};
}

Json to_json(const AllreduceTimes& times) {
  Json json{{"rows", times.rows},
            {"one_shot", to_json(times.one_shot)},
            {"two_shot", to_json(times.two_shot)},
            {"automatic", to_json(times.automatic)},
            {"chosen", comm::to_string(times.chosen)}};
  if (times.nccl) {
    json["nccl"] = to_json(*times.nccl);
    json["nccl_over_automatic"] = times.nccl->median_us / times.automatic.median_us;
  }
  return json;
}

std::string row_of(const AllreduceTimes& times) {
  std::string row = fmt::format("{:>6} {:>10.2f} {:>10.2f} {:>10.2f} {:<9}", times.rows,
                                times.one_shot.median_us, times.two_shot.median_us,
                                times.automatic.median_us, comm::to_string(times.chosen));
  if (times.nccl) {
    row += fmt::format(" {:>10.2f} {:>6.2f}x {:>7.3f}%", times.nccl->median_us,
                       times.nccl->median_us / times.automatic.median_us,
                       100 * times.nccl->equal_codes);
  }
  for (const AllreduceTime* time : {&times.one_shot, &times.two_shot, &times.automatic}) {
    if (!time->difference.empty()) row += "  WRONG: " + time->difference;
  }
  return row + '\n';
}

// Of fourge's own ways, whose bits are defined; of NCCL, when there is no order to differ in.
bool all_right(const AllreduceReport& report, int ranks) {
  return std::all_of(report.times.begin(), report.times.end(), [&](const AllreduceTimes& times) {
    return times.one_shot.difference.empty() && times.two_shot.difference.empty() &&
           times.automatic.difference.empty() &&
           (ranks > 2 || !times.nccl || times.nccl->difference.empty());
  });
}

std::string heading(const AllreduceBench& bench, const DeviceInfo& device) {
  return fmt::format(
      "{} x {}; {} columns of {} to [{}], residual and norm{}; microseconds a call\n\n"
      "{:>6} {:>10} {:>10} {:>10} {:<9} {:>10} {:>7} {:>8}\n",
      bench.ranks, device.name, bench.cols, bench.dtype, bench.axes,
      bench.dependent_launch ? ", programmatic dependent launch" : "", "rows", "one_shot",
      "two_shot", "automatic", "", "nccl+norm", "ratio", "equal");
}

// Before the first thread, which might read the environment.
void switch_off_multicast(const AllreduceOptions& options) {
  if (!options.multicast) ::setenv("NCCL_NVLS_ENABLE", "0", 1);
}

// What both commands measure, told as it is measured.
struct Measured {
  DeviceInfo device;
  AllreduceReport report;
  Json results = Json::array();
  SeriesEnd end;
};

Measured measure(Runtime& runtime, const AllreduceBench& bench, bool json) {
  Measured measured;
  measured.device = first_device_of(bench);
  measured.end = run_series([&] {
    if (!json) print_text(heading(bench, measured.device));
    measured.report = measure_allreduce(runtime, bench, [&](const AllreduceTimes& times) {
      measured.results.push_back(to_json(times));
      if (!json) print_text(row_of(times));
    });
  });
  return measured;
}

ExitCode exit_code_of(const Measured& measured, int ranks) {
  return measured.end.complete && !all_right(measured.report, ranks) ? ExitCode::negative
                                                                     : measured.end.code;
}

ExitCode bench_allreduce(const AllreduceOptions& options, const CommonOptions& common) {
  switch_off_multicast(options);
  const AllreduceBench bench = bench_of(options);
  const Interruption interruption;
  Runtime runtime(library_options(common));
  const Measured measured = measure(runtime, bench, common.json);
  if (common.json) {
    Json document{{"device", measured.device.name},
                  {"ranks", bench.ranks},
                  {"cols", bench.cols},
                  {"dtype", bench.dtype},
                  {"axes", bench.axes},
                  {"driver_version", driver_version()},
                  {"dependent_launch", bench.dependent_launch},
                  {"nccl_multicast", options.multicast},
                  {"nccl_missing", measured.report.nccl_missing},
                  {"results", measured.results}};
    measured.end.add_to(document);
    print_json(document);
  } else if (!measured.report.nccl_missing.empty()) {
    print_text(measured.report.nccl_missing + '\n');
  }
  return exit_code_of(measured, bench.ranks);
}

bool keep(const Measured& measured, const AllreduceBench& bench, const Options& library,
          std::int64_t rows) {
  if (!measured.end.complete || !all_right(measured.report, bench.ranks)) return false;
  double slowest = 0;
  for (const AllreduceTimes& times : measured.report.times) {
    if (times.rows <= rows) slowest = std::max(slowest, times.one_shot.median_us);
  }
  const DeviceInfo& device = measured.device;
  comm::keep_crossing(library,
                      {device.name, device.multiprocessors, device.target.value(), bench.ranks,
                       bench.cols, bench.dtype},
                      rows, slowest);
  return true;
}

ExitCode tune_allreduce(const AllreduceOptions& options, const CommonOptions& common) {
  AllreduceBench bench = bench_of(options);
  bench.with_nccl = false;
  const Interruption interruption;
  Runtime runtime(library_options(common));
  if (runtime.options().cache_directory.empty() && !options.dry_run) {
    throw Error(ErrorKind::invalid_argument,
                "there is no cache directory to keep the record in; name one with --cache-dir, or "
                "add --dry-run");
  }
  const Measured measured = measure(runtime, bench, common.json);
  const std::int64_t rows = crossing_of(measured.report.times);
  const bool kept = !options.dry_run && keep(measured, bench, runtime.options(), rows);
  if (common.json) {
    Json document{{"device", measured.device.name}, {"ranks", bench.ranks},  {"cols", bench.cols},
                  {"dtype", bench.dtype},           {"one_shot_rows", rows}, {"kept", kept},
                  {"results", measured.results}};
    measured.end.add_to(document);
    print_json(document);
  } else if (measured.end.complete) {
    print_text(fmt::format("\none-shot up to {} rows{}\n", rows, kept ? "" : "; not kept"));
  }
  return exit_code_of(measured, bench.ranks);
}

void add_options(CLI::App& command, AllreduceOptions& options) {
  command.add_option("--ranks", options.ranks, "Devices, the first of this machine")
      ->capture_default_str();
  command.add_option("--tokens", options.tokens, "Rows of the calls: N,...")->capture_default_str();
  command.add_option("--cols", options.cols, "Columns")->capture_default_str();
  command.add_option("--dtype", options.dtype, "bf16 or f16")->capture_default_str();
  command.add_option("--axes", options.axes, "Axes of the operation")->capture_default_str();
  command.add_option("--samples", options.samples, "Replays that are timed")->capture_default_str();
}

}  // namespace

void add_bench_allreduce(CLI::App& parent, CommandLine& line) {
  auto options = std::make_shared<AllreduceOptions>();
  options->tokens = kBenchTokens;
  CLI::App& command = add_command(
      parent, line, "allreduce", "Time the all-reduce of several GPUs beside NCCL's.",
      "One thread for each rank; graphs of calls between events, ranks started together, the "
      "slowest\n"
      "rank's median. \"nccl+norm\" is NCCL's all-reduce and then rmsnorm_quantize. Results are\n"
      "compared with the CPU reference.\n\n"
      "  fourge bench allreduce --ranks 4 --json");
  add_options(command, *options);
  command.add_option("--nccl", options->nccl, "NCCL's library")->capture_default_str();
  command.add_flag("--dependent-launch", options->dependent_launch,
                   "Launch kernels programmatically dependent");
  command.add_flag("--no-nccl", options->no_nccl, "Leave NCCL out");
  command.add_flag("--nccl-multicast", options->multicast,
                   "Let NCCL use NVLink multicast (else NCCL_NVLS_ENABLE is set to 0)");
  command.callback([options, &line] {
    line.action = [options, &line] { return bench_allreduce(*options, line.common); };
  });
}

void add_tune_allreduce(CLI::App& parent, CommandLine& line) {
  auto options = std::make_shared<AllreduceOptions>();
  options->tokens = kTuneTokens;
  CLI::App& command = add_command(
      parent, line, "allreduce", "Find where the algorithms of the all-reduce cross, and keep it.",
      "Groups of as many ranks on devices of this model take it from the cache directory.\n\n"
      "  fourge tune allreduce --ranks 4 --cols 7168");
  add_options(command, *options);
  command.add_flag("--dry-run", options->dry_run, "Keep nothing");
  command.callback([options, &line] {
    line.action = [options, &line] { return tune_allreduce(*options, line.common); };
  });
}

}  // namespace fourge::tools
