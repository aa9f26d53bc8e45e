#include "cache/failure_store.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "cache/disk_store.hpp"
#include "cache/entry.hpp"
#include "cache/json_text.hpp"
#include "cache/temporary_name.hpp"

namespace fourge::cache {

namespace {

using Json = nlohmann::json;
using Time = std::chrono::system_clock::time_point;

constexpr int kFailureFormat = 1;
constexpr std::string_view kSuffix = ".failed";
constexpr std::string_view kTemporarySuffix = ".tmp";
constexpr std::size_t kMaximumFileBytes = 4U << 20U;
// Clocks of hosts that share a cache differ a little.
constexpr std::chrono::seconds kClockDifference{5};

CacheKey failure_key(const CacheKey& key) {
  CacheKey result = key;
  result.full = sha256("fourge failure" + key.full.hex());
  return result;
}

// The beginning says what is wrong, the end how it ended.
std::string shortened(const std::string& log, std::size_t limit) {
  if (log.size() <= limit) return log;
  const std::size_t half = limit / 2;
  return fmt::format("{}\n[{} bytes left out]\n{}", log.substr(0, half), log.size() - 2 * half,
                     log.substr(log.size() - half));
}

std::string encode(const Failure& failure) {
  const auto time =
      std::chrono::duration_cast<std::chrono::microseconds>(failure.time.time_since_epoch());
  const Json document{{"failure", kFailureFormat},    {"time", time.count()},
                      {"compiler", failure.compiler}, {"status", failure.status},
                      {"log", failure.log},           {"source", failure.source_path}};
  return json_text(document);
}

std::optional<Failure> decode(const std::vector<std::byte>& payload) {
  const auto* text = reinterpret_cast<const char*>(payload.data());
  try {
    const Json document = parse_json_text({text, payload.size()});
    if (document.at("failure").get<int>() != kFailureFormat) return std::nullopt;
    Failure failure;
    failure.time = Time(std::chrono::duration_cast<Time::duration>(
        std::chrono::microseconds(document.at("time").get<std::int64_t>())));
    failure.compiler = document.at("compiler").get<std::string>();
    failure.status = document.at("status").get<std::string>();
    failure.log = document.at("log").get<std::string>();
    failure.source_path = document.at("source").get<std::string>();
    return failure;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

// By a writer that died, or before the clock was set back.
bool is_left_behind(const std::string& name, const FileStatus& status) {
  const auto age = std::chrono::system_clock::now() - status.modified;
  return name.ends_with(kTemporarySuffix) &&
         (age > kStaleTemporaryAge || age < -kStaleTemporaryAge);
}

}  // namespace

FailureStore::FailureStore(std::string root, FileSystem& files, TrustPolicy trust,
                           FailureLimits limits)
    : root_{std::move(root), trust},
      directory_(root_.path + "/failed-v1"),
      files_(files),
      limits_(limits) {}

std::string FailureStore::path_of(const CacheKey& key) const {
  std::string name = key.file_name();
  name.resize(name.rfind('.'));
  return fmt::format("{}/{}{}", directory_, name, kSuffix);
}

std::optional<Failure> FailureStore::lookup(const CacheKey& key, Time since) noexcept {
  try {
    return checked_lookup(key, since);
  } catch (const std::exception&) {
    return std::nullopt;  // no memory: the caller compiles
  }
}

std::optional<Failure> FailureStore::checked_lookup(const CacheKey& key, Time since) {
  if (root_.path.empty()) return std::nullopt;
  const std::string path = path_of(key);
  const auto file = files_.read_file(in_root(path), kMaximumFileBytes);
  if (!file.ok()) return std::nullopt;
  const CacheKey expected = failure_key(key);
  const ParseResult parsed = parse_entry(file.value.bytes, &expected);
  std::optional<Failure> failure;
  if (parsed.entry) failure = decode(parsed.entry->payload);
  const Time now = std::chrono::system_clock::now();
  if (!failure || failure->time < since || failure->time > now + kClockDifference) {
    static_cast<void>(files_.remove(in_root(path)));
    return std::nullopt;
  }
  return failure;
}

bool FailureStore::remember(const CacheKey& key, Failure failure) noexcept {
  try {
    return checked_remember(key, std::move(failure));
  } catch (const std::exception&) {
    return false;
  }
}

bool FailureStore::checked_remember(const CacheKey& key, Failure failure) {
  if (root_.path.empty()) return false;
  failure.log = shortened(failure.log, limits_.log_bytes);
  const std::string payload = encode(failure);
  const std::string bytes =
      encode_entry(failure_key(key), std::as_bytes(std::span(payload.data(), payload.size())));
  const std::string path = path_of(key);
  const FilePath temporary = in_root(make_temporary_name(path));
  if (!files_.make_directories(in_root(directory_)).ok()) return false;
  if (!files_.write_new_file(temporary, std::as_bytes(std::span(bytes.data(), bytes.size())))
           .ok()) {
    return false;
  }
  if (!files_.rename(temporary, in_root(path)).ok()) {
    static_cast<void>(files_.remove(temporary));
    return false;
  }
  prune();
  return true;
}

void FailureStore::forget(const CacheKey& key) noexcept {
  try {
    if (!root_.path.empty()) static_cast<void>(files_.remove(in_root(path_of(key))));
  } catch (const std::exception&) {
    return;  // it is forgotten later, by its age
  }
}

// Also removes what writers left that died.
void FailureStore::prune() {
  struct Item {
    std::string path;
    FileStatus status;
  };
  std::vector<Item> items;
  const auto names = files_.list_directory(in_root(directory_));
  if (!names.ok()) return;
  for (const std::string& name : names.value) {
    const bool temporary = name.ends_with(kTemporarySuffix);
    if (!temporary && !name.ends_with(kSuffix)) continue;
    const std::string path = directory_ + '/' + name;
    const auto status = files_.status(in_root(path));
    if (!status.ok()) continue;
    if (!temporary) {
      items.push_back({path, status.value});
    } else if (is_left_behind(name, status.value)) {
      static_cast<void>(files_.remove(in_root(path)));
    }
  }
  std::sort(items.begin(), items.end(),
            [](const Item& a, const Item& b) { return a.status.modified > b.status.modified; });
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    bytes += items[i].status.size;
    if (i >= limits_.files || (i > 0 && bytes > limits_.bytes)) {
      static_cast<void>(files_.remove(in_root(items[i].path)));
    }
  }
}

std::vector<FailureInfo> FailureStore::list() {
  std::vector<FailureInfo> failures;
  if (root_.path.empty()) return failures;
  const auto names = files_.list_directory(in_root(directory_));
  if (names.error == ENOENT) return failures;
  if (!names.ok()) {
    throw Error(ErrorKind::io, fmt::format("{} cannot be read: {}", directory_, names.reason()));
  }
  for (const std::string& name : names.value) {
    if (!name.ends_with(kSuffix)) continue;
    const std::string path = directory_ + '/' + name;
    const auto file = files_.read_file(in_root(path), kMaximumFileBytes);
    if (!file.ok()) continue;
    ParseResult parsed = parse_entry(file.value.bytes, nullptr);
    if (!parsed.entry) continue;
    if (auto failure = decode(parsed.entry->payload)) {
      failures.push_back({path, std::move(parsed.entry->record), std::move(*failure)});
    }
  }
  std::sort(failures.begin(), failures.end(), [](const FailureInfo& a, const FailureInfo& b) {
    return a.failure.time > b.failure.time;
  });
  return failures;
}

std::size_t FailureStore::clear(std::uint64_t* bytes) {
  std::size_t removed = 0;
  if (root_.path.empty()) return removed;
  const auto names = files_.list_directory(in_root(directory_));
  for (const std::string& name : names.ok() ? names.value : std::vector<std::string>()) {
    const FilePath path = in_root(directory_ + '/' + name);
    const bool is_failure = name.ends_with(kSuffix);
    const auto status = files_.status(path);
    if (!status.ok() || !(is_failure || is_left_behind(name, status.value))) continue;
    if (!files_.remove(path).ok()) continue;
    removed += is_failure ? 1U : 0U;
    if (bytes != nullptr) *bytes += status.value.size;
  }
  static_cast<void>(files_.remove(in_root(directory_)));  // if it is empty now
  return removed;
}

}  // namespace fourge::cache
