// fourge bench jit: the host side, without a GPU and with one.
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fourge/error.hpp>
#include <fourge/nvfp4_quantize.hpp>
#include <map>
#include <memory>
#include <thread>

#include "tools/bench/jit_bench.hpp"
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
  std::size_t sample = 8;
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

Json to_json(const std::vector<Figure>& figures) {
  Json list = Json::array();
  for (const Figure& figure : figures) {
    Json one{{"name", figure.name}, {"value", figure.value}, {"unit", figure.unit}};
    if (figure.goal) {
      one[figure.at_least ? "at_least" : "at_most"] = *figure.goal;
      one["reached"] = figure.reached();
    }
    list.push_back(std::move(one));
  }
  return list;
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

std::string text_of(const CompileTimes& times) {
  std::map<std::string, Summary> ops;
  for (const CompileTime& one : times.variants) {
    add(ops[one.spec.substr(0, one.spec.find_first_of("[@"))], one);
  }
  std::string text = fmt::format("\n{:<30} {:>5} {:>7} {:>7} {:>7} {:>7}  {}\n", "compiles of", "n",
                                 "median", "worst", "med.cpu", "wor.cpu", "worst variant");
  for (const auto& [op, summary] : ops) {
    text += fmt::format(
        "{:<30} {:>5} {:>7.2f} {:>7.2f} {:>7.2f} {:>7.2f}  {}\n", op, summary.ratios.size(),
        median_of(summary.ratios), *std::max_element(summary.ratios.begin(), summary.ratios.end()),
        median_of(summary.cpu_ratios), summary.worst->cpu_ratio, summary.worst->spec);
  }
  return text;
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

ExitCode bench_jit(const JitOptions& jit, const CommonOptions& common) {
  const Place place = choose_place(jit.on, std::nullopt);
  const std::string target_text = place ? place->target.value().text() : jit.target;
  const Target target = Target::parse(target_text);
  const std::vector<const OpDefinition*> ops = parse_ops(jit.ops);
  const Options options = library_options(common);
  ::umask(022);  // a cache that others may write is not believed
  const Scratch scratch;
  const KernelSpec spec(nvfp4_quantize_op(), target);
  const std::string machine =
      fmt::format("{} processors, load {}, {}", std::thread::hardware_concurrency(), load_text(),
                  describe(place));

  std::vector<Figure> figures = measure_hits(options, spec, scratch.path());
  const auto append = [&](const std::vector<Figure>& more) {
    figures.insert(figures.end(), more.begin(), more.end());
  };
  append(measure_processes(options, spec, scratch.path(),
                           place ? std::optional<int>(place->ordinal) : std::nullopt));
  if (place) {
    Options own = options;
    own.cache_directory = scratch.path() + "/hits";
    append(measure_launches(own, place->ordinal));
  }
  append(measure_prewarm(options, target, scratch.path()));
  const CompileTimes times = measure_compiles(options, ops, target, jit.sample);
  append(figures_of(times));
  if (common.json) {
    print_json({{"machine", machine},
                {"target", target.text()},
                {"figures", to_json(figures)},
                {"compiles", to_json(times)}});
    return ExitCode::ok;
  }
  std::string text = fmt::format("{}; target {}\n\n", machine, target.text());
  for (const Figure& figure : figures) text += row_of(figure);
  print_text(text + text_of(times));
  return ExitCode::ok;
}

}  // namespace

void add_bench_jit(CLI::App& parent, CommandLine& line) {
  auto options = std::make_shared<JitOptions>();
  CLI::App& command = add_command(
      parent, line, "jit", "Time the host side: compiles, caches, fresh processes, launches.",
      "Needs NVRTC and no GPU; with one there are more lines. Compile times are ratios to NVRTC's\n"
      "time for an empty kernel in the same run.\n\n"
      "  fourge bench jit --sample 0        every pair of axis values, some minutes");
  command.add_option("--target", options->target, "Target, where there is no GPU")
      ->capture_default_str();
  command.add_option("--op", options->ops, "Compile variants of these only; may be repeated")
      ->expected(1)
      ->take_all();
  command
      .add_option("--sample", options->sample,
                  "Variants of each operation at most; 0: all of the pairwise sample")
      ->capture_default_str();
  command.add_option("--on", options->on, "auto, gpu, host, or a device's number")
      ->capture_default_str();
  command.callback([options, &line] {
    line.action = [options, &line] { return bench_jit(*options, line.common); };
  });
}

}  // namespace fourge::tools
