// fourge bench jit: the host side, without a GPU and with one.
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fourge/error.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <memory>
#include <string_view>
#include <thread>

#include "tools/bench/jit_bench.hpp"
#include "tools/bench/series.hpp"
#include "tools/command.hpp"
#include "tools/execution.hpp"
#include "tools/report.hpp"
#include "tools/spec_argument.hpp"

namespace fourge::tools {
namespace {

namespace fs = std::filesystem;

struct JitOptions {
  std::string target = "sm_90a";
  std::vector<std::string> ops;
  std::size_t sample = 3;
  bool full = false;
  std::string on = "auto";
};

class Scratch {
 public:
  Scratch() : path_((fs::temp_directory_path() / "fourge_jit_XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) {
      throw Error(ErrorKind::io, "cannot make a directory like " + path_);
    }
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string load_text() {
  double load[3] = {};
  const int known = ::getloadavg(load, 3);
  return known < 1 ? "unknown" : fmt::format("{:.1f}", load[0]);
}

std::string row_of(const Figure& figure) {
  const std::string goal =
      figure.goal ? fmt::format("{} {:g}", figure.at_least ? ">=" : "<=", *figure.goal) : "";
  return fmt::format("{:<62} {:>10.2f} {:<3} {:>9} {:<7} {}\n", figure.name, figure.value,
                     figure.unit, goal,
                     figure.goal ? (figure.reached() ? "reached" : "MISSED") : "", figure.note);
}

Json to_json(const Figure& figure) {
  Json one{{"name", figure.name}, {"value", figure.value}, {"unit", figure.unit}};
  if (figure.goal) {
    one[figure.at_least ? "at_least" : "at_most"] = *figure.goal;
    one["reached"] = figure.reached();
  }
  return one;
}

struct Summary {
  std::vector<double> ratios;
  std::vector<double> cpu_ratios;
  const CompileTime* worst = nullptr;  // by CPU time
};

void add(Summary& summary, const CompileTime& one) {
  summary.ratios.push_back(one.ratio);
  summary.cpu_ratios.push_back(one.cpu_ratio);
  if (summary.worst == nullptr || one.cpu_ratio > summary.worst->cpu_ratio) summary.worst = &one;
}

std::string compile_heading(const JitOptions& jit, std::size_t count, std::size_t legal) {
  const std::string most =
      jit.full ? "" : fmt::format(", at most {} of each operation", jit.sample);
  return fmt::format(
      "\n{} of {} variants: pairwise sample, seed {}{}; times over the empty kernel's\n"
      "{:<30} {:>5} {:>7} {:>7} {:>7} {:>7}  {}\n",
      count, legal, kSampleSeed, most, "compiles of", "n", "median", "worst", "med.cpu", "wor.cpu",
      "worst variant");
}

std::string_view op_of(const CompileTime& one) {
  return std::string_view(one.spec).substr(0, one.spec.find_first_of("[@"));
}

// A line for the operation that the last variant is of.
std::string last_op_text(const CompileTimes& times) {
  const std::string_view op = op_of(times.variants.back());
  Summary summary;
  for (const CompileTime& one : times.variants) {
    if (op_of(one) == op) add(summary, one);
  }
  return fmt::format("{:<30} {:>5} {:>7.2f} {:>7.2f} {:>7.2f} {:>7.2f}  {}\n", op,
                     summary.ratios.size(), median_of(summary.ratios),
                     *std::max_element(summary.ratios.begin(), summary.ratios.end()),
                     median_of(summary.cpu_ratios), summary.worst->cpu_ratio, summary.worst->spec);
}

std::vector<Figure> figures_of(const CompileTimes& times) {
  Summary all;
  for (const CompileTime& one : times.variants) add(all, one);
  if (all.worst == nullptr) return {};
  return {{"NVRTC, empty kernel",
           times.empty_milliseconds,
           "ms",
           {},
           false,
           fmt::format("CPU {:.1f} ms", times.empty_cpu_milliseconds)},
          {"cold compile over the empty kernel, median", median_of(all.ratios), "x", 4},
          {"  worst", *std::max_element(all.ratios.begin(), all.ratios.end()), "x", 10},
          {"  median of CPU times", median_of(all.cpu_ratios), "x", 4},
          {"  worst of CPU times", all.worst->cpu_ratio, "x", 10, false, all.worst->spec}};
}

Json to_json(const CompileTimes& times) {
  Json list = Json::array();
  for (const CompileTime& one : times.variants) {
    list.push_back({{"spec", one.spec},
                    {"ms", one.milliseconds},
                    {"cpu_ms", one.cpu_milliseconds},
                    {"ratio", one.ratio},
                    {"cpu_ratio", one.cpu_ratio},
                    {"code_bytes", one.code_bytes}});
  }
  return list;
}

class JitBench {
 public:
  JitBench(const JitOptions& jit, const CommonOptions& common)
      : jit_(jit),
        json_(common.json),
        place_(choose_place(jit.on, std::nullopt, {"--on"})),
        target_(Target::parse(place_ ? place_->target.value().text() : jit.target)),
        ops_(parse_ops(jit.ops)),
        options_(library_options(common)),
        machine_(fmt::format("{} processors, load {}, {}", std::thread::hardware_concurrency(),
                             load_text(), describe(place_))) {}

  ExitCode run() {
    if (!json_) print_text(fmt::format("{}; target {}\n\n", machine_, target_.text()));
    const SeriesEnd end = run_series([this] { measure_all(); });
    if (json_) {
      Json document{{"machine", machine_},
                    {"target", target_.text()},
                    {"figures", figures_},
                    {"compiles", to_json(times_)}};
      end.add_to(document);
      print_json(document);
    }
    return end.code;
  }

 private:
  void report(const Figure& figure) {
    figures_.push_back(to_json(figure));
    if (!json_) print_text(row_of(figure));
  }

  void measure_all() {
    ::umask(022);  // a cache that others may write is not believed
    const Scratch scratch;
    const KernelSpec spec(nvfp4_quantize_op(), target_);
    const FigureReport each = [this](const Figure& figure) { report(figure); };
    measure_hits(options_, spec, scratch.path(), each);
    if (Interruption::wanted()) return;
    measure_processes(options_, spec, scratch.path(),
                      place_ ? std::optional<int>(place_->ordinal) : std::nullopt, each);
    if (Interruption::wanted()) return;
    if (place_) {
      Options own = options_;
      own.cache_directory = scratch.path() + "/hits";
      measure_launches(own, place_->ordinal, each);
    }
    if (Interruption::wanted()) return;
    measure_prewarm(options_, target_, scratch.path(), each);
    if (Interruption::wanted()) return;
    measure_compile_times();
  }

  void measure_compile_times() {
    const std::vector<KernelSpec> specs =
        compile_sample(ops_, target_, jit_.full ? 0 : jit_.sample);
    if (!json_) {
      std::size_t legal = 0;
      for (const OpDefinition* op : ops_) legal += legal_variants(*op, target_).size();
      print_text(compile_heading(jit_, specs.size(), legal));
    }
    measure_compiles(options_, specs, [&](const CompileTimes& times) {
      times_ = times;
      const std::size_t done = times.variants.size();
      const bool last_of_op = done == specs.size() || &specs[done].op() != &specs[done - 1].op();
      if (!json_ && last_of_op) print_text(last_op_text(times));
    });
    if (!json_) print_text("\n");
    for (const Figure& figure : figures_of(times_)) report(figure);
  }

  const JitOptions& jit_;
  const bool json_;
  const Place place_;
  const Target target_;
  const std::vector<const OpDefinition*> ops_;
  const Options options_;
  const std::string machine_;
  Json figures_ = Json::array();
  CompileTimes times_;
};

ExitCode bench_jit(const JitOptions& jit, const CommonOptions& common) {
  const Interruption interruption;
  return JitBench(jit, common).run();
}

}  // namespace

void add_bench_jit(CLI::App& parent, CommandLine& line) {
  auto options = std::make_shared<JitOptions>();
  CLI::App& command = add_command(
      parent, line, "jit", "Time the host side: compiles, caches, fresh processes, launches.",
      "Needs NVRTC and no GPU; with one there are more lines. Compile times are ratios to NVRTC's\n"
      "time for an empty kernel in the same run. A line is printed as soon as it is measured. With "
      "--json,\n"
      "SIGINT or SIGTERM ends the document with what there is and \"complete\": false.\n\n"
      "  fourge bench jit --full            every pair of axis values, some minutes");
  command.add_option("--target", options->target, "Target, where there is no GPU")
      ->capture_default_str();
  command.add_option("--op", options->ops, "Compile variants of these only; may be repeated")
      ->expected(1)
      ->take_all();
  command
      .add_option("--sample", options->sample,
                  "Variants of each operation at most, from its pairwise sample")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  command.add_flag("--full", options->full, "All of the pairwise samples");
  command.add_option("--on", options->on, "auto, gpu, host, or a device's number")
      ->capture_default_str();
  command.callback([options, &line] {
    line.action = [options, &line] { return bench_jit(*options, line.common); };
  });
}

}  // namespace fourge::tools
