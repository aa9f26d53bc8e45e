// fourge cache: what lies in the cache directory, whether it is good, and its end.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <system_error>

#include "cache/disk_store.hpp"
#include "tools/cache_access.hpp"
#include "tools/command.hpp"
#include "tools/failures.hpp"
#include "tools/host_batches.hpp"
#include "tools/report.hpp"

namespace fourge::tools {
namespace {

cache::DiskStore open_store(const CommonOptions& common) {
  const Options options = options_with_cache(common);
  // One that nobody has filled yet is empty; one that was named is expected to be there.
  std::error_code error;
  if (!common.cache_dir.empty() && !std::filesystem::exists(common.cache_dir, error)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("--cache-dir: there is no {}", common.cache_dir));
  }
  return cache::DiskStore(options.cache_directory, cache::posix_file_system(), trust_of(options));
}

// The spec's text from a key record; empty if the record has none.
std::string spec_of(const cache::EntryInfo& entry) {
  const Json record = Json::parse(entry.record, nullptr, false);
  if (record.is_discarded() || !record.contains("request")) {
    return {};
  }
  const Json& request = record["request"];
  if (!request.contains("spec") || !request["spec"].is_string()) {
    return {};
  }
  std::string text = request["spec"].get<std::string>();
  if (request.contains("target") && request["target"].is_string()) {
    text += "@" + request["target"].get<std::string>();
  }
  return text;
}

std::chrono::seconds age_of(const cache::EntryInfo& entry) {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() -
                                                          entry.modified);
}

std::string age_text(std::chrono::seconds age) {
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kHour = 60 * kMinute;
  constexpr std::int64_t kDay = 24 * kHour;
  const std::int64_t seconds = age.count();
  if (seconds < 2 * kMinute) {
    return fmt::format("{} s", seconds);
  }
  if (seconds < 2 * kHour) {
    return fmt::format("{} min", seconds / kMinute);
  }
  return seconds < 2 * kDay ? fmt::format("{} h", seconds / kHour)
                            : fmt::format("{} days", seconds / kDay);
}

Json entry_json(const cache::EntryInfo& entry) {
  Json document{{"spec", spec_of(entry)},
                {"key", entry.key_hex},
                {"path", entry.path},
                {"cubin_bytes", entry.payload_bytes},
                {"file_bytes", entry.file_bytes},
                {"age_seconds", age_of(entry).count()},
                {"valid", entry.valid}};
  if (!entry.valid) {
    document["cause"] = cache::to_string(entry.cause);
    document["detail"] = entry.detail;
  }
  return document;
}

std::string bad_entry_text(const cache::EntryInfo& entry) {
  return fmt::format("BAD ({}) {}: {}\n", cache::to_string(entry.cause), entry.path, entry.detail);
}

ExitCode list(const CommonOptions& common) {
  cache::DiskStore store = open_store(common);
  Json entries = Json::array();
  std::string text;
  for (const cache::EntryInfo& entry : store.list()) {
    entries.push_back(entry_json(entry));
    text += entry.valid ? fmt::format("{:>10}  {:>8}  {}\n", bytes_text(entry.payload_bytes),
                                      age_text(age_of(entry)), spec_of(entry))
                        : bad_entry_text(entry);
  }
  if (common.json) {
    print_json({{"directory", store.root()}, {"entries", entries}});
  } else {
    print_text(text.empty() ? fmt::format("{} holds no kernels\n", store.root()) : text);
  }
  return ExitCode::ok;
}

ExitCode verify(const CommonOptions& common) {
  cache::DiskStore store = open_store(common);
  const cache::VerifyReport report = store.verify();
  Json bad = Json::array();
  std::string text;
  for (const cache::EntryInfo& entry : report.bad) {
    bad.push_back(entry_json(entry));
    text += bad_entry_text(entry);
  }
  if (common.json) {
    print_json({{"directory", store.root()},
                {"checked", report.checked},
                {"valid", report.valid},
                {"set_aside", report.set_aside},
                {"bytes", report.bytes},
                {"bad", bad}});
  } else {
    print_text(fmt::format("{}{} entries checked, {}: {} good, {} bad, {} set aside\n", text,
                           report.checked, bytes_text(report.bytes), report.valid,
                           report.bad.size(), report.set_aside));
  }
  return report.bad.empty() ? ExitCode::ok : ExitCode::negative;
}

void confirm_clear(const std::string& directory) {
  if (::isatty(STDIN_FILENO) == 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("cache clear removes every kernel in {}; give --yes", directory));
  }
  std::cerr << "Remove every kernel in " << directory << "? [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  if (answer != "y" && answer != "Y" && answer != "yes") {
    throw Error(ErrorKind::invalid_argument, "nothing was removed");
  }
}

ExitCode clear(const CommonOptions& common, bool yes) {
  cache::DiskStore store = open_store(common);
  if (!yes) {
    confirm_clear(store.root());
  }
  const cache::ClearReport report = store.clear();
  const HostBatches host = remove_host_batches(store.root());
  const ClearedFailures failed = clear_failures(common);
  if (common.json) {
    print_json({{"directory", store.root()},
                {"entries", report.entries},
                {"quarantined", report.quarantined},
                {"temporaries", report.temporaries},
                {"host_kernels", host.kernels},
                {"failures", failed.failures},
                {"failed_sources", failed.sources},
                {"usage_files", report.usage_files},
                {"bytes", report.bytes + host.bytes + failed.bytes},
                {"left", report.left}});
  } else {
    print_text(
        fmt::format("removed from {}, {}:\n"
                    "  {} kernels\n"
                    "  {} host kernels\n"
                    "  {} failed compiles that were remembered, {} sources of such\n"
                    "  {} quarantined files\n"
                    "  {} temporary files of writers that are gone\n"
                    "  {} files of counters, sizes and times of use\n",
                    store.root(), bytes_text(report.bytes + host.bytes + failed.bytes),
                    report.entries, host.kernels, failed.failures, failed.sources,
                    report.quarantined, report.temporaries, report.usage_files));
    for (const std::string& left : report.left) {
      print_text(fmt::format("left: {}\n", left));
    }
  }
  return report.left.empty() ? ExitCode::ok : ExitCode::failure;
}

using CacheAction = ExitCode (*)(const CommonOptions&);

void add_simple(CLI::App& parent, CommandLine& line, const char* name, const char* description,
                CacheAction action) {
  CLI::App& command = add_command(parent, line, name, description);
  command.callback(
      [&line, action] { line.action = [&line, action] { return action(line.common); }; });
}

}  // namespace

void add_cache(CLI::App& app, CommandLine& line) {
  CLI::App& command = add_command(
      app, line, "cache",
      "Look into the cache directory: list, stats, verify; trim, clear; export, import, keygen.");
  command.require_subcommand(1);
  auto failed = std::make_shared<bool>(false);
  CLI::App& listing = add_command(command, line, "list", "List the kernels: bytes, age, spec.");
  listing.add_flag("--failed", *failed, "List what is remembered as not compiling instead");
  listing.callback([&line, failed] {
    line.action = [&line, failed] {
      return *failed ? list_failures(line.common) : list(line.common);
    };
  });
  add_cache_stats(command, line);
  add_simple(command, line, "verify",
             "Check every entry; bad ones are set aside, exit code 1 if there were any.", verify);
  auto yes = std::make_shared<bool>(false);
  CLI::App& clearing = add_command(
      command, line, "clear",
      "Remove every kernel, those of host execution too, what is remembered of failed compiles,\n"
      "and the counters. Says what it removed.");
  clearing.add_flag("--yes", *yes, "Do not ask");
  clearing.callback(
      [&line, yes] { line.action = [&line, yes] { return clear(line.common, *yes); }; });
  add_cache_bundle(command, line);
}

}  // namespace fourge::tools
