// fourge prewarm: fills the cache for a fleet, on a machine without a GPU.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "runtime/worker/worker_command.hpp"
#include "runtime/worker/worker_pool.hpp"
#include "tools/command.hpp"
#include "tools/interruption.hpp"
#include "tools/prewarm_specs.hpp"
#include "tools/read_only_output.hpp"
#include "tools/report.hpp"
#include "tools/toolkit.hpp"

namespace fourge::tools {
namespace {

using Clock = std::chrono::steady_clock;

using worker::BuildResult;
using worker::WorkerAnswer;

struct PrewarmOptions {
  PrewarmRequest request;
  std::string output;
  unsigned jobs = 0;
  double timeout_seconds = 600;
  std::uint64_t memory_mib = 0;
  bool retry_failed = false;
  bool check = false;
};

constexpr std::uint64_t kMiB = 1U << 20U;

// On a terminal one bar that is drawn over; elsewhere a line for each variant, on standard output
// for people, on standard error when a program reads the result.
class Progress {
 public:
  Progress(std::size_t total, bool json)
      : total_(total), stream_(json ? stderr : stdout), bar_(::isatty(STDERR_FILENO) != 0) {}

  void add(const KernelSpec& spec, const std::string& what, bool failed) {
    ++done_;
    if (bar_ && !failed) {
      draw(spec);
      return;
    }
    if (what.empty()) {
      return;  // plain lines tell what was done
    }
    erase();
    std::fprintf(failed ? stderr : stream_, "[%zu/%zu] %s: %s\n", done_, total_,
                 spec.text().c_str(), what.c_str());
    std::fflush(stream_);
  }

  void erase() {
    if (drawn_) {
      std::fputs("\r\x1b[K", stderr);
      drawn_ = false;
    }
  }

 private:
  void draw(const KernelSpec& spec) {
    constexpr std::size_t kWidth = 24;
    const std::size_t full = total_ == 0 ? kWidth : done_ * kWidth / total_;
    const std::string bar = std::string(full, '#') + std::string(kWidth - full, '.');
    std::fprintf(stderr, "\r\x1b[K[%s] %zu/%zu %s", bar.c_str(), done_, total_,
                 spec.text().c_str());
    std::fflush(stderr);
    drawn_ = true;
  }

  std::size_t total_;
  std::FILE* stream_;
  bool bar_;
  bool drawn_ = false;
  std::size_t done_ = 0;
};

class Summary {
 public:
  // What happened, in words for the progress line; empty for a variant that was there.
  std::string add(const BuildResult& result) {
    const WorkerAnswer& answer = result.answer;
    if (!answer.ok) {
      return fail(*result.spec, answer.error_kind, answer.message);
    }
    if (!answer.kept) {
      return fail(*result.spec, to_string(ErrorKind::io),
                  "compiled, but the cache directory keeps nothing (its warning says why)");
    }
    if (answer.origin != Origin::compiled) {
      ++cached_;
      return {};
    }
    ++compiled_;
    return fmt::format("compiled in {:.0f} ms", answer.milliseconds);
  }

  ExitCode exit_code() const {
    if (failures_.empty()) {
      return ExitCode::ok;
    }
    return compile_failed_ ? ExitCode::compile_failed : ExitCode::failure;
  }

  std::size_t failed() const { return failures_.size(); }
  std::size_t done() const { return cached_ + compiled_ + failures_.size(); }

  std::string text(Clock::duration took) const {
    const std::size_t total = cached_ + compiled_ + failures_.size();
    const double seconds = std::chrono::duration<double>(took).count();
    if (compiled_ == 0 && failures_.empty()) {
      return fmt::format("nothing to compile: {} of {} variants were in the cache ({:.1f} s)\n",
                         cached_, total, seconds);
    }
    return fmt::format("{} variants: {} compiled, {} from cache, {} failed in {:.1f} s\n", total,
                       compiled_, cached_, failures_.size(), seconds);
  }

  Json json(Clock::duration took) const {
    return {{"variants", cached_ + compiled_ + failures_.size()},
            {"compiled", compiled_},
            {"from_cache", cached_},
            {"failed", failures_.size()},
            {"seconds", std::chrono::duration<double>(took).count()},
            {"failures", failures_}};
  }

 private:
  std::string fail(const KernelSpec& spec, const std::string& kind, const std::string& message) {
    failures_.push_back({{"spec", spec.text()}, {"kind", kind}, {"message", message}});
    compile_failed_ = compile_failed_ || kind != to_string(ErrorKind::io);
    return "FAILED: " + message;
  }

  std::size_t compiled_ = 0;
  std::size_t cached_ = 0;
  bool compile_failed_ = false;
  Json failures_ = Json::array();
};

// The workers fill a cache directory inside the output and take over what is there already, or in
// the caches that the options name: nothing is compiled twice.
void redirect(Options& library, const ReadOnlyOutput& output) {
  if (!library.cache_directory.empty()) {
    library.cache_read_only.insert(library.cache_read_only.begin(), library.cache_directory);
  }
  library.cache_read_only.insert(library.cache_read_only.begin(), output.directory());
  library.cache_directory = output.staging();
  library.cache_byte_limit = 0;
}

// Readiness: what is in the caches, without compiling anything.
ExitCode check(const PrewarmSpecs& wanted, const Options& library, bool json) {
  Runtime runtime(library);
  std::vector<std::string> missing;
  for (const KernelSpec& spec : wanted.specs) {
    if (!runtime.is_cached(spec)) {
      missing.push_back(spec.text());
    }
  }
  const std::size_t present = wanted.specs.size() - missing.size();
  if (json) {
    print_json({{"variants", wanted.specs.size()},
                {"present", present},
                {"missing", missing},
                {"unknown", wanted.unknown}});
  } else {
    std::string text = fmt::format("{} of {} present\n", present, wanted.specs.size());
    for (const std::string& spec : missing) {
      text += "missing: " + spec + '\n';
    }
    print_text(text);
  }
  return missing.empty() ? ExitCode::ok : ExitCode::negative;
}

ExitCode prewarm(const PrewarmOptions& options, const CommonOptions& common) {
  Options library = library_options(common);
  const PrewarmSpecs wanted = find_specs(options.request, library);
  const std::vector<KernelSpec>& specs = wanted.specs;
  if (options.check) {
    return check(wanted, library, common.json);
  }
  std::optional<ReadOnlyOutput> output;
  if (!options.output.empty()) {
    output.emplace(options.output);
    redirect(library, *output);
  }
  if (library.cache_directory.empty()) {
    throw Error(ErrorKind::unsupported,
                "there is no cache directory to fill; give --cache-dir DIR or --output DIR, or set "
                "FOURGE_CACHE_DIR");
  }
  if (const auto location = find_nvrtc(library); !location.found()) {
    throw Error(ErrorKind::library_missing, jit::nvrtc_missing_message(location));
  }
  const auto start = Clock::now();
  library.worker_program = std::filesystem::read_symlink("/proc/self/exe").string();
  library.retry_failed = options.retry_failed;
  library.worker_memory_bytes = options.memory_mib * kMiB;
  library.worker_deadline =
      std::chrono::milliseconds(static_cast<std::int64_t>(options.timeout_seconds * 1000));
  worker::PoolOptions pool;
  pool.workers = options.jobs == 0 ? worker::default_workers(library) : options.jobs;
  pool.worker = worker::worker_settings(library, pool.workers, common.log);
  const Interruption interruption;
  pool.stop = Interruption::wanted;
  Summary summary;
  Progress progress(specs.size(), common.json);
  worker::build_in_workers(specs, pool, [&](const BuildResult& result) {
    const std::size_t failed = summary.failed();
    const std::string what = summary.add(result);
    progress.add(*result.spec, what, summary.failed() != failed);
  });
  progress.erase();
  const std::size_t collected = output ? output->collect() : 0;
  const auto took = Clock::now() - start;
  const std::size_t left = specs.size() - summary.done();
  if (common.json) {
    Json document = summary.json(took);
    document["variants"] = specs.size();
    document["unknown"] = wanted.unknown;
    document["complete"] = left == 0;
    document["left"] = left;
    if (output) {
      document["output"] = output->directory();
      document["entries"] = collected;
    }
    print_json(document);
  } else {
    print_text(summary.text(took));
    if (left != 0) {
      print_text(fmt::format("interrupted: {} of {} variants are left\n", left, specs.size()));
    }
    if (output) {
      print_text(fmt::format("{}: {} entries for FOURGE_CACHE_READ_ONLY\n", output->directory(),
                             collected));
    }
  }
  return left != 0 ? ExitCode::interrupted : summary.exit_code();
}

}  // namespace

void add_prewarm(CLI::App& app, CommandLine& line) {
  auto options = std::make_shared<PrewarmOptions>();
  CLI::App& command = add_command(
      app, line, "prewarm",
      "Compile kernels into the cache, in worker processes: every legal variant for some targets, "
      "what a manifest names, or what runtimes asked for before.",
      "Needs no GPU. Example: fourge prewarm --target sm_90a,sm_100a --cache-dir /opt/fourge\n"
      "SIGINT or SIGTERM: what is under way is finished, and what is done is kept and counted.\n"
      "With --check nothing is compiled: it says how many are there, with exit code 1 if not all.");
  PrewarmRequest& request = options->request;
  CLI::Option* targets = command.add_option(
      "--target", request.targets,
      "Targets, or all; of a manifest and the history: only these, which a manifest's "
      "specs without a target are for, too");
  targets->type_name("TARGET,...");
  CLI::Option* manifest =
      command.add_option("--manifest", request.manifest,
                         "What this file names, with the fallback variants (docs/serving.md)");
  manifest->type_name("FILE");
  CLI::Option* history =
      command.add_flag("--from-history", request.from_history,
                       "What runtimes with the option history have asked this cache directory for");
  manifest->excludes(history);
  command.add_option("--op", request.ops, "Only these operations")
      ->delimiter(',')
      ->type_name("OP")
      ->excludes(manifest)
      ->excludes(history);
  command.add_option("--variants", request.filter, "Only variants with these values")
      ->type_name("AXIS=VALUE,...")
      ->excludes(manifest)
      ->excludes(history);
  CLI::Option* check_only = command.add_flag("--check", options->check,
                                             "Compile nothing; say how many are in the caches");
  command
      .add_option("--output", options->output,
                  "Make a cache that others only read, in this directory; the cache directory is "
                  "read and not written")
      ->type_name("DIR")
      ->excludes(check_only);
  command
      .add_option("--jobs", options->jobs, "Worker processes (default: by processors and memory)")
      ->check(CLI::Range(1, 1024));
  command
      .add_option("--timeout", options->timeout_seconds,
                  "Seconds that one compile may take before its worker is killed")
      ->check(CLI::Range(0.001, 86400.0));
  command
      .add_option("--memory", options->memory_mib,
                  "MiB that one worker may use before it is killed (default: its share of the "
                  "machine)")
      ->check(CLI::Range(64, 1'048'576));
  command.add_flag("--retry-failed", options->retry_failed,
                   "Try what is remembered as not compiling once more");
  command.callback([&line, options] {
    line.action = [&line, options] { return prewarm(*options, line.common); };
  });
}

}  // namespace fourge::tools
