// fourge tune: finds the fastest launch configurations on this machine's GPU and keeps them.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include "runtime/tuning/tuned_choice.hpp"
#include "tools/bench/gpu_bench.hpp"
#include "tools/bench/gpu_session_options.hpp"
#include "tools/bench/median.hpp"
#include "tools/bench/series.hpp"
#include "tools/cache_access.hpp"
#include "tools/command.hpp"
#include "tools/execution.hpp"
#include "tools/report.hpp"
#include "tools/spec_argument.hpp"
#include "tools/tune/tuner.hpp"

namespace fourge::tools {
namespace {

constexpr std::size_t kTurns = 3;
// Fewer than a benchmark's: what counts is the order of variants, and there are many of them.
constexpr std::size_t kCallsAReplay = 1024;
constexpr const char* kShapes = "1x7168,16x7168,128x7168,1024x7168,4096x7168,16384x7168";

struct TuneOptions {
  GpuSessionOptions session;
  bool dry_run = false;
};

struct WantedSpec {
  const BenchOp* op;
  KernelSpec spec;
};

// Variants that differ in nothing but speed are one question.
std::vector<WantedSpec> parse_wanted(const std::vector<std::string>& what,
                                     const std::string& target) {
  std::vector<WantedSpec> wanted;
  const auto add = [&](const BenchOp& op, const std::string& text) {
    const KernelSpec spec = parse_spec_argument(text, target);
    if (tuning_choice(spec).empty()) {
      throw Error(ErrorKind::invalid_spec,
                  fmt::format("{} has nothing to tune: each of its axes changes the results",
                              spec.op().name));
    }
    const bool known = std::any_of(wanted.begin(), wanted.end(), [&](const WantedSpec& one) {
      return one.spec.same_results(spec);
    });
    if (!known) wanted.push_back({&op, spec});
  };
  for (const std::string& text : what) {
    const std::string name = text.substr(0, text.find('['));
    const BenchOp& op = find_bench_op(name);
    if (name != text) {
      add(op, text);
      continue;
    }
    for (const std::string& axes : op.variants) {
      if (axes.find("auto") == std::string::npos) add(op, fmt::format("{}[{}]", op.op, axes));
    }
  }
  return wanted;
}

Json to_json(const TunedCall& call) {
  Json variants = Json::array();
  for (const TunedVariant& variant : call.variants) {
    Json entry{{"spec", variant.spec.text()}};
    if (variant.refused.empty()) {
      entry["microseconds"] = variant.microseconds;
    } else {
      entry["refused"] = variant.refused;
    }
    variants.push_back(std::move(entry));
  }
  return {{"spec", call.best().spec.text()},
          {"rows", call.shape.rows},
          {"cols", call.shape.cols},
          {"bucket", tuning_bucket(call.shape)},
          {"choice", tuning_choice(call.best().spec)},
          {"microseconds", call.best().microseconds},
          {"rule", tuning_choice(call.by_rule)},
          {"variants", variants}};
}

std::string row_of(const TunedCall& call) {
  std::string others;
  for (const TunedVariant& variant : call.variants) {
    if (variant.refused.empty()) {
      others += fmt::format(" {}: {:.2f}", tuning_choice(variant.spec), variant.microseconds);
    }
  }
  return fmt::format("{:<78} {:>12} {:<14} {:>9.2f}  rule {:<14}{}\n", call.best().spec.text(),
                     tuning_bucket(call.shape), tuning_choice(call.best().spec),
                     call.best().microseconds, tuning_choice(call.by_rule), others);
}

// Throws Error(invalid_argument) without a cache directory.
TuningStore open_store(const Runtime& runtime, const TuneOptions& options) {
  const Options& library = runtime.options();
  if (library.cache_directory.empty() && !options.dry_run) {
    throw Error(ErrorKind::invalid_argument,
                "there is no cache directory to keep records in; name one with --cache-dir, or add "
                "--dry-run");
  }
  cache::TrustPolicy trust;
  if (!library.trusted_group.empty()) trust.group = cache::find_group(library.trusted_group);
  return TuningStore(library.cache_directory, cache::posix_file_system(), trust);
}

class Tuning {
 public:
  Tuning(const TuneOptions& options, const CommonOptions& common, const DeviceInfo& device)
      : turn_samples_(std::max<std::size_t>(options.session.samples / kTurns, 3)),
        keep_(!options.dry_run),
        json_(common.json),
        shapes_(parse_shapes(options.session.shapes)),
        wanted_(parse_wanted(options.session.what, device.target.value().text())),
        runtime_(session_options(common)),
        store_(open_store(runtime_, options)),
        gpu_(runtime_, device, kCallsAReplay) {}

  ExitCode run() {
    const SeriesEnd end = run_series([this] { tune_all(); });
    if (json_) {
      const DeviceInfo& device = gpu_.device();
      Json document{{"device", device.name},
                    {"multiprocessors", device.multiprocessors},
                    {"kept", keep_},
                    {"calls", wanted_.size() * shapes_.size()},
                    {"results", results_}};
      end.add_to(document);
      print_json(document);
    }
    return end.code;
  }

 private:
  MatrixShape shape_of(const WantedSpec& wanted, MatrixShape shape) const {
    if (wanted.op->cols != 0) shape.cols = wanted.op->cols;
    return shape;
  }

  void compile_candidates() {
    std::vector<KernelSpec> specs;
    for (const WantedSpec& wanted : wanted_) {
      for (const MatrixShape& shape : shapes_) {
        const CallShape call = wanted.op->call_shape(shape_of(wanted, shape));
        const auto candidates = launch_candidates(wanted.spec, call);
        specs.insert(specs.end(), candidates.begin(), candidates.end());
      }
    }
    const auto start = std::chrono::steady_clock::now();
    compile_ahead(runtime_, specs);
    if (!json_) {
      print_text(fmt::format("{}: kernels ready after {}\n", gpu_.device().name,
                             duration_text(std::chrono::steady_clock::now() - start)));
    }
  }

  void tune_all() {
    compile_candidates();
    for (const WantedSpec& wanted : wanted_) {
      for (const MatrixShape& shape : shapes_) {
        if (Interruption::wanted()) return;
        tune(wanted, shape_of(wanted, shape));
      }
    }
  }

  void tune(const WantedSpec& wanted, const MatrixShape& shape) {
    std::map<std::string, TimedCall> timed;
    const auto timer = [&](const KernelSpec& variant) {
      const std::string text = variant.text();
      auto found = timed.find(text);
      if (found == timed.end()) {
        found = timed.emplace(text, gpu_.prepare(*wanted.op, variant, shape)).first;
      }
      return median_of(gpu_.time(found->second, turn_samples_));
    };
    const int multiprocessors = gpu_.device().multiprocessors;
    const TunedCall call = tune_call(wanted.spec, wanted.op->call_shape(shape),
                                     DeviceFacts{multiprocessors}, kTurns, timer);
    if (keep_) {
      const TuningBasis basis = tuning_basis(wanted.spec, multiprocessors, runtime_.options().ops);
      store_.keep(record_of(call, gpu_.device().name, basis));
    }
    results_.push_back(to_json(call));
    if (!json_) print_text(row_of(call));
  }

  const std::size_t turn_samples_;
  const bool keep_;
  const bool json_;
  const std::vector<MatrixShape> shapes_;
  const std::vector<WantedSpec> wanted_;
  Runtime runtime_;
  TuningStore store_;
  GpuBench gpu_;
  Json results_ = Json::array();
};

ExitCode tune(const TuneOptions& options, const CommonOptions& common) {
  if (options.session.what.empty()) {
    throw Error(ErrorKind::invalid_argument, "tune: name an operation or a spec, or \"allreduce\"");
  }
  parse_shapes(options.session.shapes);  // bad input is an error with and without a GPU
  parse_wanted(options.session.what, kHostTarget);
  const Interruption interruption;  // before the driver has threads
  const DeviceInfo device = open_gpu(options.session, "tuning");
  return Tuning(options, common, device).run();
}

}  // namespace

void add_tune(CLI::App& app, CommandLine& line) {
  auto options = std::make_shared<TuneOptions>();
  CLI::App& command = add_command(
      app, line, "tune", "Find the fastest launch configurations on a GPU and keep them.",
      "Times every variant with the same results, as `fourge bench` does, and keeps the fastest in "
      "the\n"
      "cache directory, for this model of GPU and for rows up to the next power of two.\n"
      "Runtime::best_variant() takes it from there. Where an operation is one of a mixture of "
      "experts,\n"
      "the rows of --shapes are tokens. All variants are compiled first, in worker processes. What "
      "has been\n"
      "found is kept and printed at once; SIGINT or SIGTERM ends the --json document with that, "
      "and\n"
      "\"complete\": false.\n\n"
      "  fourge tune nvfp4_quantize --shapes 1x7168,64x7168,4096x7168\n"
      "  fourge tune 'nvfp4_quantize_per_token[layout=128x4]' --shapes 1024x16384 --json");
  options->session.shapes = kShapes;
  add_gpu_session_options(command, options->session, "Operations or specs; at least one",
                          "Replays of each variant that are timed, in three turns");
  command.add_flag("--dry-run", options->dry_run, "Keep nothing");
  add_tune_allreduce(command, line);
  command.callback([options, &command, &line] {
    if (!command.get_subcommands().empty()) return;  // that one has set the action
    line.action = [options, &line] { return tune(*options, line.common); };
  });
}

}  // namespace fourge::tools
