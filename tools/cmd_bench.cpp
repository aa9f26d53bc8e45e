// fourge bench: how fast the kernels are on this machine's GPU.
#include <fmt/format.h>

#include <algorithm>

#include "tools/bench/gpu_bench.hpp"
#include "tools/command.hpp"
#include "tools/execution.hpp"
#include "tools/report.hpp"
#include "tools/spec_argument.hpp"

namespace fourge::tools {
namespace {

struct BenchOptions {
  std::vector<std::string> what;
  std::string shapes = "1x7168,16x7168,128x7168,1024x7168,4096x7168,16384x7168,8192x16384";
  std::string tokens = "1,32,256,1024,4096,16384";
  std::size_t samples = 30;
  std::string on = "gpu";
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

constexpr std::string_view kAutomatic = "tpc=auto";

// Text may have tpc=auto, where the operation has a rule for it.
WantedSpec parse_variant(const BenchOp& op, const std::string& text, const std::string& target) {
  const std::size_t at = text.find(kAutomatic);
  if (at == std::string::npos || op.automatic == nullptr) {
    return {parse_spec_argument(text, target), ""};
  }
  std::string first = text;
  first.replace(at, kAutomatic.size(), "tpc=1");
  return {parse_spec_argument(first, target), text};
}

std::vector<Wanted> parse_wanted(const std::vector<std::string>& what, const std::string& target) {
  std::vector<Wanted> wanted;
  const auto all_of = [&](const BenchOp& op) {
    Wanted entry{&op, {}};
    for (const std::string& axes : op.variants) {
      entry.specs.push_back(parse_variant(op, fmt::format("{}[{}]", op.op, axes), target));
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
          {"automatic", m.automatic},
          {"checked", m.checked},
          {"difference", m.difference}};
}

std::string row_of(const Measurement& m, double copy) {
  return fmt::format("{:<78} {:>12} {:>10.2f} {:>12} {:>8.0f} {:>6.1f}%{}{}\n", m.spec,
                     fmt::format("{}x{}", m.shape.rows, m.shape.cols), m.median_us, m.bytes,
                     m.gigabytes_per_second(), 100 * m.gigabytes_per_second() / copy,
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

ExitCode bench(const BenchOptions& options, const CommonOptions& common) {
  const std::vector<MatrixShape> shapes = parse_shapes(options.shapes);
  const std::vector<MatrixShape> tokens = parse_tokens(options.tokens);
  parse_wanted(options.what, kHostTarget);  // bad input is an error with and without a GPU
  const Place place = choose_place(options.on, std::nullopt);
  if (!place) {
    throw Error(ErrorKind::unsupported, "a benchmark needs a GPU; --on must name one");
  }
  Runtime runtime(library_options(common));
  GpuBench gpu(runtime, *place, std::max<std::size_t>(options.samples, 5));
  const double copy = gpu.copy_gigabytes_per_second();
  if (!common.json) {
    print_text(fmt::format(
        "{}: {} multiprocessors, L2 {} MiB, driver {}; device-to-device copy {:.0f} GB/s\n\n"
        "{:<78} {:>12} {:>10} {:>12} {:>8} {:>7}\n",
        place->name, place->multiprocessors, place->l2_bytes >> 20, driver_version(), copy, "spec",
        "shape", "us", "bytes", "GB/s", "of copy"));
  }
  Json results = Json::array();
  const std::string target = place->target.value().text();
  bool all_right = true;
  for (const Wanted& wanted : parse_wanted(options.what, target)) {
    const BenchOp& op = *wanted.op;
    for (MatrixShape shape : op.cols != 0 ? tokens : shapes) {
      if (op.cols != 0) shape.cols = op.cols;
      for (const WantedSpec& variant : wanted.specs) {
        const KernelSpec spec = spec_for(op, variant, shape, place->multiprocessors, target);
        try {
          Measurement m = gpu.measure(op, spec, shape);
          m.automatic = !variant.automatic.empty();
          all_right = all_right && m.difference.empty();
          results.push_back(to_json(m, copy));
          if (!common.json) print_text(row_of(m, copy));
        } catch (const Error& error) {
          // A shape that this variant does not take.
          if (error.kind() != ErrorKind::invalid_argument) throw;
          results.push_back({{"spec", spec.text()},
                             {"rows", shape.rows},
                             {"cols", shape.cols},
                             {"refused", error.what()}});
        }
      }
    }
  }
  if (common.json) {
    print_json({{"device", place->name},
                {"multiprocessors", place->multiprocessors},
                {"l2_bytes", place->l2_bytes},
                {"driver_version", driver_version()},
                {"copy_gb_per_s", copy},
                {"results", results}});
  }
  return all_right ? ExitCode::ok : ExitCode::negative;
}

}  // namespace

void add_bench(CLI::App& app, CommandLine& line) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App& command = add_command(
      app, line, "bench", "Time kernels on a GPU, as fractions of the device's own copy bandwidth.",
      "Graph replay, buffers rotated past three times the L2, random data, median of the samples.\n"
      "Bytes are what a call must read and write at least. \"moe\" stands for the operations "
      "around a\n"
      "mixture of experts (top 8 of 256, 7168 hidden and 2048 inner columns); some rows of their\n"
      "results are compared with the CPU reference.\n\n"
      "  fourge bench moe --json\n"
      "  fourge bench nvfp4_quantize --shapes 1024x7168,16384x7168\n"
      "  fourge bench 'nvfp4_quantize[layout=128x4,tpc=4]' --json");
  command.add_option("what", options->what, "Operations or specs; all operations if none is named");
  command.add_option("--shapes", options->shapes, "ROWSxCOLS,...")->capture_default_str();
  command.add_option("--tokens", options->tokens, "Tokens of the operations of \"moe\": N,...")
      ->capture_default_str();
  command.add_option("--samples", options->samples, "Replays that are timed")
      ->capture_default_str();
  command.add_option("--on", options->on, "gpu, or a device's number")->capture_default_str();
  add_bench_jit(command, line);
  add_bench_allreduce(command, line);
  command.callback([options, &command, &line] {
    if (!command.get_subcommands().empty()) return;  // that one has set the action
    line.action = [options, &line] { return bench(*options, line.common); };
  });
}

}  // namespace fourge::tools
