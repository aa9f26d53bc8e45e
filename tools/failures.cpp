#include "tools/failures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "cache/failure_store.hpp"
#include "cache/key_record.hpp"
#include "tools/cache_access.hpp"
#include "tools/report.hpp"

namespace fourge::tools {
namespace {

cache::FailureStore store_of(const Options& options) {
  return cache::FailureStore(options.cache_directory, cache::posix_file_system(),
                             trust_of(options));
}

std::string spec_of(const cache::FailureInfo& info) {
  const auto parsed = cache::parse_key_record(info.record);
  return parsed.record ? parsed.record->spec_text() : std::string();
}

// The first line that says what is wrong.
std::string summary_of(const cache::Failure& failure) {
  const std::size_t error = failure.log.find("error");
  const std::size_t begin =
      error == std::string::npos ? 0 : failure.log.rfind('\n', error) + 1;  // npos + 1 is 0
  return failure.log.substr(begin, failure.log.find('\n', begin) - begin);
}

}  // namespace

ExitCode list_failures(const CommonOptions& common) {
  const Options options = library_options(common);
  cache::FailureStore store = store_of(options);
  const auto now = std::chrono::system_clock::now();
  Json failures = Json::array();
  std::string text;
  for (const cache::FailureInfo& info : store.list()) {
    const auto age =
        std::chrono::duration_cast<std::chrono::seconds>(now - info.failure.time).count();
    const auto left = std::max<std::int64_t>(0, std::int64_t{options.failure_memory.count()} - age);
    const std::string spec = spec_of(info);
    failures.push_back({{"spec", spec},
                        {"status", info.failure.status},
                        {"compiler", info.failure.compiler},
                        {"age_seconds", age},
                        {"forgotten_in_seconds", left},
                        {"source", info.failure.source_path},
                        {"path", info.path},
                        {"log", info.failure.log}});
    text += fmt::format("{}: {} ({}, {} s ago, {})\n    {}\n", spec, info.failure.status,
                        info.failure.compiler, age,
                        left > 0 ? fmt::format("not tried again for {} s", left)
                                 : std::string("will be tried again"),
                        summary_of(info.failure));
  }
  if (common.json) {
    print_json({{"directory", options.cache_directory}, {"failures", failures}});
  } else {
    print_text(text.empty()
                   ? fmt::format("{} remembers no failed compile\n", options.cache_directory)
                   : text + "To try these now: fourge prewarm --retry-failed\n");
  }
  return ExitCode::ok;
}

ClearedFailures clear_failures(const CommonOptions& common) {
  const Options options = library_options(common);
  ClearedFailures cleared;
  cleared.failures = store_of(options).clear(&cleared.bytes);
  const cache::Root root{options.cache_directory, trust_of(options)};
  if (root.path.empty()) {
    return cleared;
  }
  cache::FileSystem& files = cache::posix_file_system();
  const std::string directory = root.path + "/failed";
  for (const std::string& name : files.list_directory({root, directory}).value) {
    const cache::FilePath path(root, directory + '/' + name);
    const auto status = files.status(path);
    if (name.ends_with(".cu") && status.ok() && files.remove(path).ok()) {
      ++cleared.sources;
      cleared.bytes += status.value.size;
    }
  }
  static_cast<void>(files.remove({root, directory}));  // if it is empty now
  return cleared;
}

}  // namespace fourge::tools
