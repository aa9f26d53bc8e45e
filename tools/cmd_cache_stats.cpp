// fourge cache stats and trim: how much lies in the cache directory, what its users did, and less of it.
#include <fmt/format.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <optional>

#include "cache/disk_counters.hpp"
#include "cache/disk_store.hpp"
#include "cache/evictor.hpp"
#include "cache/key_lock.hpp"
#include "tools/cache_access.hpp"
#include "tools/command.hpp"
#include "tools/host_batches.hpp"
#include "tools/report.hpp"

namespace fourge::tools {
namespace {

std::string target_of(const cache::EntryInfo& entry) {
  const Json record = Json::parse(entry.record, nullptr, false);
  if (!record.is_object() || !record.contains("request") || !record["request"].is_object() ||
      !record["request"].contains("target") || !record["request"]["target"].is_string()) {
    return "unknown";
  }
  return record["request"]["target"].get<std::string>();
}

struct Contents {
  std::size_t valid = 0;
  std::size_t bad = 0;
  std::uint64_t bytes = 0;
  std::map<std::string, std::size_t> by_target;
};

Contents contents_of(cache::DiskStore& store) {
  Contents contents;
  for (const cache::EntryInfo& entry : store.list()) {
    contents.bytes += entry.file_bytes;
    ++(entry.valid ? contents.valid : contents.bad);
    if (entry.valid) {
      ++contents.by_target[target_of(entry)];
    }
  }
  return contents;
}

Json counters_json(const cache::CounterTotals& totals) {
  Json document = Json::object();
  for (std::size_t i = 0; i < cache::kCounterCount; ++i) {
    document[cache::to_string(static_cast<cache::CounterId>(i))] = totals.values.values[i];
  }
  return document;
}

// Times as durations, bytes as such; what never happened is left out.
std::string counters_text(const cache::CounterTotals& totals) {
  std::string text;
  for (std::size_t i = 0; i < cache::kCounterCount; ++i) {
    const std::uint64_t value = totals.values.values[i];
    if (value == 0) {
      continue;
    }
    const std::string name = cache::to_string(static_cast<cache::CounterId>(i));
    std::string shown = std::to_string(value);
    if (name.ends_with("_nanoseconds")) {
      shown = duration_text(std::chrono::nanoseconds(static_cast<std::int64_t>(value)));
    } else if (name.starts_with("bytes_")) {
      shown = bytes_text(value);
    }
    text += fmt::format("  {:<20} {}\n", name, shown);
  }
  return text.empty() ? "  nothing yet\n" : text;
}

std::string contents_text(const cache::DiskStore& store, const Contents& contents,
                          const HostBatches& host) {
  std::string targets;
  for (const auto& [target, count] : contents.by_target) {
    targets += fmt::format("{}{} for {}", targets.empty() ? "" : ", ", count, target);
  }
  return fmt::format("directory  {}\nkernels    {}{}, {}\n{}host       {} kernels, {}\n",
                     store.root(), contents.valid, targets.empty() ? "" : " (" + targets + ")",
                     bytes_text(contents.bytes),
                     contents.bad == 0 ? "" : fmt::format("bad        {}\n", contents.bad),
                     host.kernels, bytes_text(host.bytes));
}

ExitCode stats(const CommonOptions& common, bool zero) {
  const Options options = options_with_cache(common);
  cache::FileSystem& files = cache::posix_file_system();
  cache::DiskStore store(options.cache_directory, files, trust_of(options));
  cache::DiskCounters counters(options.cache_directory, files, trust_of(options));
  if (zero) {
    std::string reason;
    if (!counters.reset(reason)) {
      throw Error(ErrorKind::io, reason);
    }
  }
  const Contents contents = contents_of(store);
  const cache::CounterTotals totals = counters.totals();
  const HostBatches host = count_host_batches(store.root());
  if (common.json) {
    print_json({{"directory", store.root()},
                {"entries", contents.valid},
                {"bad", contents.bad},
                {"bytes", contents.bytes},
                {"byte_limit", options.cache_byte_limit},
                {"by_target", contents.by_target},
                {"host_kernels", host.kernels},
                {"host_bytes", host.bytes},
                {"counters", counters_json(totals)},
                {"counters_note", totals.note}});
    return ExitCode::ok;
  }
  const std::string limit =
      options.cache_byte_limit == 0 ? "none" : bytes_text(options.cache_byte_limit);
  print_text(fmt::format("{}limit      {}\nof all processes since the counters were at zero:\n{}{}",
                         contents_text(store, contents, host), limit, counters_text(totals),
                         totals.note.empty() ? "" : "note: " + totals.note + "\n"));
  return ExitCode::ok;
}

ExitCode trim(const CommonOptions& common, const std::optional<std::uint64_t>& limit) {
  const Options options = options_with_cache(common);
  cache::EvictionPolicy policy;
  policy.byte_limit = limit.value_or(options.cache_byte_limit);
  policy.lock_directory = cache::default_lock_directory(options.runtime_directory, ::getuid());
  policy.trust = trust_of(options);
  cache::FileSystem& files = cache::posix_file_system();
  const cache::EvictReport report = cache::Evictor(options.cache_directory, policy, files).trim();
  if (report.removed != 0) {
    cache::CounterValues done;
    done[cache::CounterId::evictions] = report.removed;
    done[cache::CounterId::bytes_evicted] = report.removed_bytes;
    cache::DiskCounters(options.cache_directory, files, policy.trust).record(done);
  }
  if (common.json) {
    print_json({{"directory", options.cache_directory},
                {"byte_limit", policy.byte_limit},
                {"removed", report.removed},
                {"removed_bytes", report.removed_bytes},
                {"bytes", report.bytes},
                {"in_use", report.in_use},
                {"busy", report.busy},
                {"detail", report.detail}});
  } else if (report.busy) {
    print_text("another process is removing entries at the moment\n");
  } else if (policy.byte_limit == 0) {
    print_text("there is no limit; nothing was removed\n");
  } else {
    print_text(fmt::format(
        "{} kernels removed, {}; {} left of {}{}\n", report.removed,
        bytes_text(report.removed_bytes), bytes_text(report.bytes), bytes_text(policy.byte_limit),
        report.in_use == 0 ? "" : fmt::format("; {} are in use", report.in_use)));
  }
  if (!report.detail.empty()) {
    throw Error(ErrorKind::io, report.detail);
  }
  return ExitCode::ok;
}

}  // namespace

void add_cache_stats(CLI::App& parent, CommandLine& line) {
  auto zero = std::make_shared<bool>(false);
  CLI::App& counting = add_command(
      parent, line, "stats", "Count the kernels and their bytes, and what all processes did.");
  counting.add_flag("--zero", *zero, "First set the counters to zero");
  counting.callback(
      [&line, zero] { line.action = [&line, zero] { return stats(line.common, *zero); }; });

  auto limit = std::make_shared<std::optional<std::uint64_t>>();
  CLI::App& trimming =
      add_command(parent, line, "trim",
                  "Remove the kernels used least recently, down to the limit (FOURGE_CACHE_LIMIT, "
                  "1 GiB). Those in use and the last 16 stay.");
  trimming
      .add_option("--limit", *limit,
                  "Another limit, in bytes; with K, M, G, T: 1024 bytes and up; 0: none")
      ->transform(CLI::AsSizeValue(false))
      ->transform(whole_number("KMGTkmgt"))  // is asked first
      ->type_name("BYTES");
  trimming.callback(
      [&line, limit] { line.action = [&line, limit] { return trim(line.common, *limit); }; });
}

}  // namespace fourge::tools
