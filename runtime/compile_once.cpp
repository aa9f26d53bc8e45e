#include "runtime/compile_once.hpp"

#include "runtime/failed_source.hpp"
#include "runtime/stopping.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <string_view>

namespace fourge {
namespace {

using Clock = std::chrono::steady_clock;

// What NVRTC says about source and options, and would say again.
bool is_lasting(const jit::CompileOutput& output) {
  constexpr std::array<std::string_view, 2> kStatuses{"NVRTC_ERROR_COMPILATION",
                                                      "NVRTC_ERROR_INVALID_OPTION"};
  // Stages behind the front end that ran out of something report it as a failed compilation.
  constexpr std::array<std::string_view, 5> kSurroundings{
      "out of memory", "Out of memory", "Cannot allocate", "emory allocation", "No space left"};
  return std::find(kStatuses.begin(), kStatuses.end(), output.status) != kStatuses.end() &&
         std::none_of(kSurroundings.begin(), kSurroundings.end(), [&](std::string_view text) {
           return output.log.find(text) != std::string::npos;
         });
}

std::string message_of(const BuildRequest& request, const cache::Failure& failure) {
  return fmt::format(
      "{} did not compile {}: {}\n  options: {}\n  source:  {}\n  log:\n{}", failure.compiler,
      request.spec.text(), failure.status, fmt::join(request.options, " "),
      failure.source_path.empty() ? "(could not be written)" : failure.source_path, failure.log);
}

bool exists(const std::string& path) {
  struct stat data {};
  return ::lstat(path.c_str(), &data) == 0;
}

}  // namespace

CompileOnce::CompileOnce(const Options& options, Counters& counters, cache::TrustPolicy trust,
                         cache::FileSystem& files)
    : options_(options),
      counters_(counters),
      trust_(trust),
      failures_(options.failure_memory.count() > 0 ? options.cache_directory : std::string(), files,
                trust),
      created_(std::chrono::system_clock::now()),
      nvtx_(options.nvtx) {
  if (options_.nvtx && !nvtx_available()) {
    log(LogLevel::warn,
        "NVTX ranges were asked for; this build has none, since the CUDA toolkit's "
        "nvtx3/nvToolsExt.h was not found when it was configured");
  }
}

cache::FlightOptions CompileOnce::flight_options(const SharedResults& results) {
  cache::FlightOptions flight;
  flight.lock_directory = cache::default_lock_directory(options_.runtime_directory, ::geteuid());
  flight.scope = results.root;
  flight.wait = options_.compile_wait;
  flight.slots =
      options_.compile_slots == 0 ? cache::default_compile_slots() : options_.compile_slots;
  flight.timing.stuck_after = options_.stuck_after;
  if (options_.stuck_after.count() > 0) {
    flight.timing.beat = std::max(options_.stuck_after / 8, std::chrono::milliseconds(1));
  }
  // A compile that hangs is replaced before the others lose their patience all at once.
  flight.timing.longest_hold = options_.compile_wait / 2;
  std::call_once(swept_, [&] { cache::remove_abandoned_locks(flight.lock_directory); });
  return flight;
}

Artifact CompileOnce::build(const BuildRequest& request, const SharedResults& results,
                            const std::stop_token& stop) {
  throw_if_remembered(request);
  std::optional<Artifact> artifact;
  const std::string failure_path = failures_.path_of(request.key);
  const bool shared = !results.root.empty();
  const auto take = [&] {
    artifact = results.take();
    if (!artifact) {
      throw_if_remembered(request);
    }
    return artifact.has_value();
  };
  const auto start = Clock::now();
  Clock::duration working{};
  const auto make = [&] {
    const auto began = Clock::now();
    artifact = compile(request, stop);
    const bool published = shared && !other_nvrtc_ && results.publish(*artifact);
    working = Clock::now() - began;
    return published;
  };
  cache::FlightActions actions;
  actions.appeared = [&] { return results.appeared() || exists(failure_path); };
  actions.take = [&] { return shared && take(); };
  actions.make = make;
  actions.poll = [&] { throw_if_stopped(stop, request.spec); };
  const cache::FlightReport report =
      cache::make_once(request.key, flight_options(results), actions);
  if (report.waited || report.queued) {
    counters_.wait_nanoseconds += static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start - working)
            .count());
  }
  note(request, report);
  if (options_.retry_failed) {
    failures_.forget(request.key);
  }
  return std::move(*artifact);
}

void CompileOnce::note(const BuildRequest& request, const cache::FlightReport& report) {
  if (report.waited) {
    ++counters_.waits;
  }
  if (report.replaced) {
    ++counters_.replaced_holders;
    log(LogLevel::warn,
        fmt::format("{}: the process that compiled it did not move any more and was replaced",
                    request.spec.text()));
  }
  if (!report.no_lock.empty()) {
    log(LogLevel::debug, fmt::format("{}: no lock, so several processes may compile it: {}",
                                     request.spec.text(), report.no_lock));
  }
  if (!report.no_slot.empty()) {
    log(LogLevel::debug, fmt::format("{}: compiled without a slot of the host: {}",
                                     request.spec.text(), report.no_slot));
  }
}

void CompileOnce::throw_if_remembered(const BuildRequest& request) {
  const auto now = std::chrono::system_clock::now();
  const auto since = options_.retry_failed ? created_ : now - options_.failure_memory;
  const std::optional<cache::Failure> failure = failures_.lookup(request.key, since);
  if (!failure) {
    return;
  }
  ++counters_.remembered_failures;
  const auto time = std::chrono::floor<std::chrono::seconds>(failure->time);
  throw CompileError(
      fmt::format("{}\n  This failure is remembered since {:%Y-%m-%dT%H:%M:%SZ} and was not tried "
                  "again; it is forgotten {} s after that. To retry now: fourge prewarm "
                  "--retry-failed, Options::retry_failed, or FOURGE_FAILURE_MEMORY=0.",
                  message_of(request, *failure),
                  fmt::gmtime(std::chrono::system_clock::to_time_t(time)),
                  options_.failure_memory.count()),
      failure->log, failure->source_path);
}

Artifact CompileOnce::compile(const BuildRequest& request, const std::stop_token& stop) {
  throw_if_stopped(stop, request.spec);
  const auto start = Clock::now();
  const NvtxRanges::Range range(nvtx_, "compile", request.spec.text());
  const jit::CompileOutput output =
      nvrtc().compile(request.source, request.spec.entry_name() + ".cu", request.options, stop);
  if (!output.ok || output.cubin.empty()) {
    throw_if_stopped(stop, request.spec);
    fail(request, output);
  }
  Artifact artifact = artifact_of(request);
  artifact.cubin = output.cubin;
  const auto took = Clock::now() - start;
  ++counters_.compiles;
  counters_.compile_nanoseconds += static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(took).count());
  log(LogLevel::info,
      fmt::format("compiled {} in {} ms", request.spec.text(),
                  std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
  return artifact;
}

void CompileOnce::fail(const BuildRequest& request, const jit::CompileOutput& output) {
  ++counters_.compile_failures;
  cache::Failure failure;
  failure.time = std::chrono::system_clock::now();
  failure.compiler = fmt::format("NVRTC {}.{}", nvrtc().major(), nvrtc().minor());
  failure.status = output.status;
  failure.log = output.log;
  failure.source_path =
      keep_failed_source(options_.cache_directory, trust_, request.spec.entry_name(),
                         request.key.full.hex(), request.source);
  if (is_lasting(output) && !other_nvrtc_) {
    failures_.remember(request.key, failure);
  }
  throw CompileError(message_of(request, failure), failure.log, failure.source_path);
}

const jit::NvrtcLocation& CompileOnce::location() {
  std::call_once(located_, [this] {
    location_ = jit::locate_nvrtc({options_.nvrtc_library, options_.cuda_home});
  });
  return location_;
}

const jit::Nvrtc& CompileOnce::nvrtc() {
  const std::lock_guard lock(nvrtc_mutex_);
  if (!nvrtc_) {
    nvrtc_ = std::make_unique<jit::Nvrtc>(location().path);
    // Keys name the library that was there at the first request, which may be long ago.
    other_nvrtc_ = jit::build_identity_of(location().path) != location().build_identity;
    if (other_nvrtc_) {
      log(LogLevel::warn,
          fmt::format("{} is no longer the library that this Runtime began with; what it compiles "
                      "is kept in memory only. Start the process anew to use the cache again.",
                      location().path));
    }
  }
  return *nvrtc_;
}

void CompileOnce::log(LogLevel level, std::string_view text) const {
  if (options_.log) {
    options_.log(level, text);
  }
}

}  // namespace fourge
