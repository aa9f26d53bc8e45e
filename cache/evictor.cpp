#include "cache/evictor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>

#include "cache/disk_store.hpp"
#include "cache/entry.hpp"
#include "cache/key_lock.hpp"
#include "cache/store_layout.hpp"

namespace fourge::cache {

namespace {

constexpr std::size_t kKeyDigits = 2 * Digest::kBytes;
constexpr std::size_t kKeyPosition = 17;  // in an entry's file name
constexpr std::uint64_t kSizesBytes = 64U << 10U;
constexpr int kRounds = 4;
// After a look that found nothing to remove.
constexpr std::chrono::seconds kPause{1};
constexpr std::chrono::milliseconds kPoll{3};

std::uint64_t high_water(std::uint64_t limit) { return limit - limit / 32; }
std::uint64_t low_water(std::uint64_t limit) { return limit - limit / 8; }

template <class Work>
EvictReport report_instead_of_exception(Work work) noexcept {
  EvictReport report;
  try {
    return work();
  } catch (const std::exception& error) {
    try {
      report.detail = error.what();
    } catch (const std::exception&) {
      report.detail.clear();
    }
  }
  return report;
}

// One evictor at a time; without usable locks, as many as there are.
struct Turn {
  bool busy = false;
  std::optional<KeyLock> lock;
};

Turn take_turn(const std::string& lock_directory, const std::string& root) {
  if (lock_directory.empty()) return {};
  const CacheKey name{{}, sha256("evict\n" + root), {}};
  LockResult result =
      KeyLock::acquire(lock_directory, name, std::chrono::steady_clock::time_point::min(), {});
  return {result.outcome == LockOutcome::timed_out, std::move(result.lock)};
}

}  // namespace

struct Evictor::Survey {
  std::vector<Candidate> candidates;
  std::array<std::uint64_t, kShards> bytes{};
  std::uint64_t total = 0;
  std::string detail;
};

Evictor::Evictor(std::string root, EvictionPolicy policy, FileSystem& files)
    : root_{std::move(root), policy.trust},
      policy_(std::move(policy)),
      files_(files),
      last_used_(root_, policy_.stamp_interval, files),
      sizes_(root_, fmt::format("sizes.v{}", kStoreLayout), files) {}

void Evictor::used(const CacheKey& key) noexcept {
  if (!root_.path.empty()) last_used_.stamp(key);
}

void Evictor::hold(const CacheKey& key) {
  const std::lock_guard lock(mutex_);
  ++held_[key.file_name()];
}

void Evictor::release(const CacheKey& key) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    const std::string name = key.file_name();
    if (held_.count(name) != 0 && --held_[name] == 0) held_.erase(name);
  } catch (const std::exception&) {
    return;  // no memory for the name: it stays held, which costs space only
  }
}

EvictReport Evictor::published(const CacheKey& key, std::uint64_t file_bytes) noexcept {
  if (root_.path.empty()) return {};
  return report_instead_of_exception([&] { return checked_published(key, file_bytes); });
}

EvictorCounters Evictor::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

EvictReport Evictor::trim() noexcept {
  if (root_.path.empty() || policy_.byte_limit == 0) return {};
  return report_instead_of_exception([&] {
    const Turn turn = take_turn(policy_.lock_directory, root_.path);
    if (!turn.busy) return evict_locked(policy_.byte_limit);
    EvictReport report;
    report.busy = true;
    return report;
  });
}

EvictReport Evictor::checked_published(const CacheKey& key, std::uint64_t file_bytes) {
  const std::size_t shard = shard_number(key.shard()).value_or(0);
  const bool settled = settle_shard(shard).has_value();
  {
    const std::lock_guard lock(mutex_);
    counters_.published_bytes += file_bytes;
    if (!settled) counted_[shard] += file_bytes;
  }
  if (policy_.byte_limit == 0) return {};
  return evict(high_water(policy_.byte_limit), low_water(policy_.byte_limit));
}

EvictReport Evictor::evict(std::uint64_t trigger, std::uint64_t target) {
  EvictReport all;
  const auto deadline = std::chrono::steady_clock::now() + policy_.longest_wait;
  for (int round = 0; round < kRounds;) {
    all.bytes = total_bytes();
    if (all.bytes <= trigger || is_pausing()) break;
    {
      const Turn turn = take_turn(policy_.lock_directory, root_.path);
      all.busy = turn.busy;
      if (!turn.busy) {
        all.bytes = total_bytes();  // the one before us may have done it
        if (all.bytes <= trigger) break;
        if (!add_round(evict_locked(target), trigger, all)) break;
        ++round;
      }
    }
    if (!all.busy) continue;
    if (all.bytes <= policy_.byte_limit || std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(kPoll);
  }
  return all;
}

bool Evictor::is_pausing() {
  const std::lock_guard lock(mutex_);
  return std::chrono::steady_clock::now() < pause_until_;
}

// False if there is nothing more to be removed.
bool Evictor::add_round(EvictReport once, std::uint64_t trigger, EvictReport& all) {
  all.removed += once.removed;
  all.removed_bytes += once.removed_bytes;
  all.bytes = once.bytes;
  all.in_use = once.in_use;
  all.looked = true;
  all.detail = std::move(once.detail);
  if (once.removed != 0 || once.bytes <= trigger) return true;
  const std::lock_guard lock(mutex_);
  pause_until_ = std::chrono::steady_clock::now() + kPause;
  return false;
}

EvictReport Evictor::evict_locked(std::uint64_t target) {
  EvictReport report;
  Survey survey = survey_store();
  report.looked = true;
  remove_until(survey, target, report);
  const Sizes written = read_sizes();
  for (std::size_t shard = 0; shard < kShards; ++shard) {
    if (written.bytes[shard].value_or(0) == survey.bytes[shard]) continue;
    const std::uint64_t now = settle_shard(shard).value_or(survey.bytes[shard]);
    survey.total += now - survey.bytes[shard];  // may wrap twice, and then it is right again
    survey.bytes[shard] = now;
  }
  if (written.log_bytes > kSizesBytes) compact_sizes();
  report.bytes = survey.total;
  if (report.detail.empty()) report.detail = std::move(survey.detail);
  sweep_temporaries(std::chrono::system_clock::now());
  return report;
}

void Evictor::remove_until(Survey& survey, std::uint64_t target, EvictReport& report) {
  auto& candidates = survey.candidates;
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.used, a.path) < std::tie(b.used, b.path);
  });
  candidates.resize(candidates.size() - std::min(candidates.size(), policy_.keep_recent));
  for (const Candidate& candidate : candidates) {
    if (survey.total <= target) return;
    bool kept = candidate.in_use;
    if (!kept) {
      const std::lock_guard lock(mutex_);
      kept = held_.count(candidate.path.substr(candidate.path.rfind('/') + 1)) != 0;
    }
    if (kept) {
      ++report.in_use;
      continue;
    }
    const IoStatus removed = files_.remove({root_, candidate.path});
    if (!removed.ok() && removed.error != ENOENT) {
      report.detail = fmt::format("cannot remove {}: {}", candidate.path, removed.reason());
      continue;
    }
    // Goes if it is empty now; who publishes into it makes it again.
    static_cast<void>(files_.remove({root_, candidate.path.substr(0, candidate.path.rfind('/'))}));
    survey.total -= candidate.bytes;
    survey.bytes[candidate.shard] -= candidate.bytes;
    if (removed.ok()) {
      ++report.removed;
      report.removed_bytes += candidate.bytes;
      const std::lock_guard lock(mutex_);
      ++counters_.removed;
      counters_.removed_bytes += candidate.bytes;
    }
  }
}

Evictor::Survey Evictor::survey_store() {
  Survey survey;
  const auto now = std::chrono::system_clock::now();
  const auto shards = files_.list_directory({root_, version_directory(root_.path)});
  if (!shards.ok() && shards.error != ENOENT) {
    survey.detail = fmt::format("cannot list {}: {}", root_.path, shards.reason());
  }
  for (const std::string& name : shards.value) {
    if (const auto shard = shard_number(name)) survey_shard(*shard, now, survey);
  }
  return survey;
}

void Evictor::survey_shard(std::size_t shard, LastUsed::Time now, Survey& survey) {
  LastUsed::Stamps stamps = last_used_.read(shard_name(shard));
  LastUsed::Stamps kept;
  bool wrong = false;
  // A clock that is a little ahead is as good as ours. One that is far ahead says nothing: such an
  // entry is the last of those that are not in use, and ages from there.
  const auto settle = [&](LastUsed::Time time) {
    if (time <= now) return time;
    wrong = true;
    return time - now <= policy_.in_use_window ? now : now - policy_.in_use_window;
  };
  const auto take = [&](const std::string& path, const std::string& name,
                        const FileStatus& status) {
    const auto digest = Digest::from_hex(name.substr(kKeyPosition, kKeyDigits));
    if (!digest) return;
    Candidate candidate;
    candidate.path = path;
    candidate.shard = shard;
    candidate.bytes = status.size;
    const std::uint64_t tag = LastUsed::tag_of(*digest);
    const auto stamp = stamps.find(tag);
    if (stamp != stamps.end()) {
      candidate.used = settle(stamp->second);
      candidate.in_use = now - candidate.used < policy_.in_use_window;
      if (status.modified <= now) candidate.used = std::max(candidate.used, status.modified);
      kept[tag] = settle(stamp->second);
    } else {
      candidate.used = settle(status.modified);
      if (status.modified > now) kept[tag] = now - policy_.in_use_window;
    }
    survey.bytes[shard] += candidate.bytes;
    survey.total += candidate.bytes;
    survey.candidates.push_back(std::move(candidate));
  };
  if (!visit_shard(shard, take, survey.detail)) return;
  // The rest is of entries that are gone.
  constexpr std::size_t kSlack = 64;
  if (wrong || stamps.size() > 2 * kept.size() + kSlack) {
    last_used_.replace(shard_name(shard), kept);
  }
}

// Of processes that were killed while they replaced a log.
void Evictor::sweep_temporaries(LastUsed::Time now) {
  const std::string directory = fmt::format("{}/{}", root_.path, kUsageDirectory);
  for (const std::string& name : files_.list_directory({root_, directory}).value) {
    if (!name.ends_with(".tmp")) continue;
    const FilePath path{root_, directory + '/' + name};
    const auto status = files_.status(path);
    if (status.ok() && (now - status.value.modified > kStaleTemporaryAge ||
                        status.value.modified - now > kStaleTemporaryAge)) {
      static_cast<void>(files_.remove(path));
    }
  }
}

}  // namespace fourge::cache
