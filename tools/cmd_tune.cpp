// fourge tune: finds the fastest launch configurations on this machine's GPU and keeps them.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "runtime/tuning/tuned_choice.hpp"
#include "tools/bench/gpu_bench.hpp"
#include "tools/cache_access.hpp"
#include "tools/command.hpp"
#include "tools/execution.hpp"
#include "tools/report.hpp"
#include "tools/spec_argument.hpp"
#include "tools/tune/tuner.hpp"

namespace fourge::tools {
namespace {

constexpr std::size_t kTurns = 3;

struct TuneOptions {
  std::vector<std::string> what;
  std::string shapes = "1x7168,16x7168,128x7168,1024x7168,4096x7168,16384x7168";
  std::size_t samples = 30;
  std::string on = "gpu";
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

ExitCode tune(const TuneOptions& options, const CommonOptions& common) {
  if (options.what.empty()) {
    throw Error(ErrorKind::invalid_argument, "tune: name an operation or a spec, or \"allreduce\"");
  }
  const std::vector<MatrixShape> shapes = parse_shapes(options.shapes);
  parse_wanted(options.what, kHostTarget);  // bad input is an error with and without a GPU
  const Place place = choose_place(options.on, std::nullopt);
  if (!place) {
    throw Error(ErrorKind::unsupported, "tuning needs a GPU; --on must name one");
  }
  Runtime runtime(library_options(common));
  TuningStore store = open_store(runtime, options);
  GpuBench gpu(runtime, *place, std::max<std::size_t>(options.samples, 5));
  Json results = Json::array();
  for (const WantedSpec& wanted : parse_wanted(options.what, place->target.value().text())) {
    const TuningBasis basis =
        tuning_basis(wanted.spec, place->multiprocessors, runtime.options().ops);
    for (MatrixShape shape : shapes) {
      if (wanted.op->cols != 0) shape.cols = wanted.op->cols;
      const CallShape call_shape = wanted.op->call_shape(shape);
      const TunedCall call = tune_call(wanted.spec, call_shape, DeviceFacts{place->multiprocessors},
                                       kTurns, [&](const KernelSpec& variant) {
                                         return gpu.measure(*wanted.op, variant, shape).median_us;
                                       });
      if (!options.dry_run) store.keep(record_of(call, place->name, basis));
      results.push_back(to_json(call));
      if (!common.json) print_text(row_of(call));
    }
  }
  if (common.json) {
    print_json({{"device", place->name},
                {"multiprocessors", place->multiprocessors},
                {"kept", !options.dry_run},
                {"results", results}});
  }
  return ExitCode::ok;
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
      "the rows of --shapes are tokens.\n\n"
      "  fourge tune nvfp4_quantize --shapes 1x7168,64x7168,4096x7168\n"
      "  fourge tune 'nvfp4_quantize_per_token[layout=128x4]' --shapes 1024x16384 --json");
  command.add_option("what", options->what, "Operations or specs; at least one");
  command.add_option("--shapes", options->shapes, "ROWSxCOLS,...")->capture_default_str();
  command.add_option("--samples", options->samples, "Replays that are timed, three times over")
      ->capture_default_str();
  command.add_option("--on", options->on, "gpu, or a device's number")->capture_default_str();
  command.add_flag("--dry-run", options->dry_run, "Keep nothing");
  add_tune_allreduce(command, line);
  command.callback([options, &command, &line] {
    if (!command.get_subcommands().empty()) return;  // that one has set the action
    line.action = [options, &line] { return tune(*options, line.common); };
  });
}

}  // namespace fourge::tools
