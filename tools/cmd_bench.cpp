// fourge bench: how fast the kernels are on this machine's GPU.
#include <fmt/format.h>

#include <algorithm>

#include "tools/bench/gpu_bench.hpp"
#include "tools/bench/gpu_session_options.hpp"
#include "tools/bench/series.hpp"
#include "tools/command.hpp"
#include "tools/execution.hpp"
#include "tools/report.hpp"
#include "tools/spec_argument.hpp"

namespace fourge::tools {
namespace {

constexpr const char* kShapes = "1x7168,16x7168,128x7168,1024x7168,4096x7168,16384x7168,8192x16384";

struct BenchOptions {
  GpuSessionOptions session;
  std::string tokens = "1,32,256,1024,4096,16384";
  bool dependent_launch = false;
};

struct WantedSpec {
  KernelSpec spec;
  std::string automatic;  // the spec without the axis that is chosen for each shape; usually empty
};

struct Wanted {
  const BenchOp* op;
  std::vector<WantedSpec> specs;
};

std::vector<MatrixShape> parse_tokens(const std::string& text) {
  std::vector<MatrixShape> shapes;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    shapes.push_back(parse_shape(text.substr(at, end - at) + "x1"));
    at = end + 1;
  }
  return shapes;
}

// Text may have tpc=auto, where the operation has a rule for it.
WantedSpec parse_variant(const BenchOp& op, const std::string& text, const std::string& target) {
  if (text.find(kAutomatic) == std::string::npos || op.automatic == nullptr) {
    return {parse_spec_argument(text, target), ""};
  }
  return {parse_spec_argument(first_of_automatic(text), target), text};
}

std::vector<Wanted> parse_wanted(const std::vector<std::string>& what, const std::string& target) {
  std::vector<Wanted> wanted;
  const auto all_of = [&](const BenchOp& op) {
    Wanted entry{&op, {}};
    for (const std::string& text : bench_variants(op, Target::parse(target))) {
      entry.specs.push_back(parse_variant(op, text, target));
    }
    wanted.push_back(std::move(entry));
  };
  for (const std::string& text : what) {
    const std::string name = text.substr(0, text.find('['));
    if (text == "moe") {
      for (const BenchOp& op : bench_moe_ops()) all_of(op);
      continue;
    }
    const BenchOp& op = find_bench_op(name);
    if (name == text) {
      all_of(op);
    } else {
      wanted.push_back({&op, {parse_variant(op, text, target)}});
    }
  }
  if (what.empty()) {
    for (const BenchOp& op : bench_ops()) all_of(op);
  }
  return wanted;
}

Json to_json(const Measurement& m, double copy) {
  return {{"spec", m.spec},
          {"rows", m.shape.rows},
          {"cols", m.shape.cols},
          {"bytes", m.bytes},
          {"buffer_sets", m.sets},
          {"replays", m.replays},
          {"median_us", m.median_us},
          {"best_us", m.best_us},
          {"gb_per_s", m.gigabytes_per_second()},
          {"fraction_of_copy", m.gigabytes_per_second() / copy},
          {"same_bytes_copied_us", m.copy_us},
          {"automatic", m.automatic},
          {"checked", m.checked},
          {"difference", m.difference}};
}

std::string row_of(const Measurement& m, double copy) {
  return fmt::format("{:<78} {:>12} {:>10.2f} {:>12} {:>8.0f} {:>6.1f}% {:>10}{}{}\n", m.spec,
                     fmt::format("{}x{}", m.shape.rows, m.shape.cols), m.median_us, m.bytes,
                     m.gigabytes_per_second(), 100 * m.gigabytes_per_second() / copy,
                     m.copy_us > 0 ? fmt::format("{:.2f}", m.copy_us) : "-",
                     m.automatic ? "  (automatic)" : "",
                     m.difference.empty() ? "" : "  WRONG: " + m.difference);
}

KernelSpec spec_for(const BenchOp& op, const WantedSpec& variant, const MatrixShape& shape,
                    int multiprocessors, const std::string& target) {
  if (variant.automatic.empty()) return variant.spec;
  std::string text = variant.automatic;
  text.replace(text.find(kAutomatic), kAutomatic.size(), op.automatic(shape, multiprocessors));
  return parse_spec_argument(text, target);
}

struct Call {
  const BenchOp* op;
  MatrixShape shape;
  KernelSpec spec;
  bool automatic;
};

// All calls, in the order in which they are measured: by operation, then by shape.
std::vector<Call> calls_of(const BenchOptions& options, const DeviceInfo& device) {
  const std::vector<MatrixShape> shapes = parse_shapes(options.session.shapes);
  const std::vector<MatrixShape> tokens = parse_tokens(options.tokens);
  const std::string target = device.target.value().text();
  std::vector<Call> calls;
  for (const Wanted& wanted : parse_wanted(options.session.what, target)) {
    const BenchOp& op = *wanted.op;
    for (MatrixShape shape : op.cols != 0 ? tokens : shapes) {
      if (op.cols != 0) shape.cols = op.cols;
      for (const WantedSpec& variant : wanted.specs) {
        calls.push_back({&op, shape, spec_for(op, variant, shape, device.multiprocessors, target),
                         !variant.automatic.empty()});
      }
    }
  }
  return calls;
}

class Bench {
 public:
  Bench(const BenchOptions& options, const CommonOptions& common, const DeviceInfo& device)
      : samples_(std::max<std::size_t>(options.session.samples, 5)),
        json_(common.json),
        dependent_launch_(options.dependent_launch),
        calls_(calls_of(options, device)),
        runtime_(session_options(common)),
        gpu_(runtime_, device) {
    gpu_.set_launch_options({dependent_launch_});
    try {
      gpu_.measure_copies(session_options(common));
    } catch (const Error& error) {
      // Kernels that are in the cache need no NVRTC.
      if (error.kind() != ErrorKind::library_missing) throw;
    }
  }

  ExitCode run() {
    if (!json_) print_text(heading());
    const SeriesEnd end = run_series([this] { measure_all(); });
    if (json_) {
      const DeviceInfo& device = gpu_.device();
      Json document{{"device", device.name},
                    {"multiprocessors", device.multiprocessors},
                    {"l2_bytes", device.l2_bytes},
                    {"driver_version", driver_version()},
                    {"copy_gb_per_s", gpu_.copy_gigabytes_per_second()},
                    {"dependent_launch", dependent_launch_},
                    {"calls", calls_.size()},
                    {"results", results_}};
      end.add_to(document);
      print_json(document);
    }
    return end.complete && !all_right_ ? ExitCode::negative : end.code;
  }

 private:
  std::string heading() const {
    const DeviceInfo& device = gpu_.device();
    return fmt::format(
        "{}: {} multiprocessors, L2 {} MiB, driver {}; copy {:.0f} GB/s{}\n\n"
        "{:<78} {:>12} {:>10} {:>12} {:>8} {:>7} {:>10}\n",
        device.name, device.multiprocessors, device.l2_bytes >> 20, driver_version(),
        gpu_.copy_gigabytes_per_second(),
        dependent_launch_ ? "; calls by programmatic dependent launch, copies not" : "", "spec",
        "shape", "us", "bytes", "GB/s", "of copy", "copied us");
  }

  void measure_all() {
    for (std::size_t i = 0; i < calls_.size() && !Interruption::wanted(); ++i) {
      if (i == 0 || calls_[i].op != calls_[i - 1].op) compile_kernels_of(*calls_[i].op);
      if (Interruption::wanted()) return;
      measure(calls_[i]);
    }
  }

  void compile_kernels_of(const BenchOp& op) {
    std::vector<KernelSpec> specs;
    for (const Call& call : calls_) {
      if (call.op == &op) specs.push_back(call.spec);
    }
    compile_ahead(runtime_, specs);
  }

  void measure(const Call& call) {
    const double copy = gpu_.copy_gigabytes_per_second();
    try {
      Measurement m = gpu_.measure(*call.op, call.spec, call.shape, samples_);
      m.automatic = call.automatic;
      all_right_ = all_right_ && m.difference.empty();
      results_.push_back(to_json(m, copy));
      if (!json_) print_text(row_of(m, copy));
    } catch (const Error& error) {
      // A shape that this variant does not take.
      if (error.kind() != ErrorKind::invalid_argument) throw;
      results_.push_back({{"spec", call.spec.text()},
                          {"rows", call.shape.rows},
                          {"cols", call.shape.cols},
                          {"refused", error.what()}});
    }
  }

  const std::size_t samples_;
  const bool json_;
  const bool dependent_launch_;
  const std::vector<Call> calls_;
  Runtime runtime_;
  GpuBench gpu_;
  Json results_ = Json::array();
  bool all_right_ = true;
};

ExitCode bench(const BenchOptions& options, const CommonOptions& common) {
  parse_shapes(options.session.shapes);  // bad input is an error with and without a GPU
  parse_tokens(options.tokens);
  parse_wanted(options.session.what, kHostTarget);
  const Interruption interruption;  // before the driver has threads
  const DeviceInfo device = open_gpu(options.session, "a benchmark");
  return Bench(options, common, device).run();
}

}  // namespace

void add_bench(CLI::App& app, CommandLine& line) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App& command = add_command(
      app, line, "bench", "Time kernels on a GPU, as fractions of the device's own copy bandwidth.",
      "Graph replay, buffers rotated past three times the L2, random data, median of the samples.\n"
      "Bytes are what a call must read and write at least. The copy bandwidth is the best of the "
      "device's own\n"
      "large copies and a plain kernel's; \"copied us\" is what such a kernel takes to copy as "
      "many bytes (it\n"
      "needs NVRTC). \"moe\" stands for the operations "
      "around a\n"
      "mixture of experts (top 8 of 256, 7168 hidden and 2048 inner columns); some rows of their\n"
      "results are compared with the CPU reference. Without a spec, variants that the device's "
      "target does not\n"
      "have are skipped. A line is printed as soon as it is measured. With --json,\n"
      "SIGINT or SIGTERM (from timeout, say) ends the document with what there is and "
      "\"complete\": false.\n\n"
      "  fourge bench moe --json\n"
      "  fourge bench nvfp4_quantize --shapes 1024x7168,16384x7168\n"
      "  fourge bench 'nvfp4_quantize[layout=128x4,tpc=4]' --json");
  options->session.shapes = kShapes;
  add_gpu_session_options(command, options->session,
                          "Operations or specs; all operations if none is named",
                          "Replays that are timed");
  command.add_option("--tokens", options->tokens, "Tokens of the operations of \"moe\": N,...")
      ->capture_default_str();
  command.add_flag("--dependent-launch", options->dependent_launch,
                   "Calls follow one another by programmatic dependent launch (sm_90 and later)");
  add_bench_jit(command, line);
  add_bench_allreduce(command, line);
  command.callback([options, &command, &line] {
    if (!command.get_subcommands().empty()) return;  // that one has set the action
    line.action = [options, &line] { return bench(*options, line.common); };
  });
}

}  // namespace fourge::tools
