#include "cache/last_used.hpp"

#include <algorithm>
#include <exception>
#include <span>
#include <vector>

#include "cache/byte_order.hpp"

namespace fourge::cache {

namespace {

// A log of this size is rewritten with one record for each entry.
constexpr std::uint64_t kLogBytes = 64U << 10U;
// What the table of a process may hold; beyond, stamps are written again.
constexpr std::size_t kTableEntries = 1U << 16U;

std::uint64_t stamp_of(LastUsed::Time time) {
  const auto count =
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  return count < 0 ? 0 : static_cast<std::uint64_t>(count);
}

// Any number may stand in the file; one that is no time of this clock is the latest that is.
LastUsed::Time time_of(std::uint64_t stamp) {
  const auto most = std::chrono::duration_cast<std::chrono::microseconds>(
                        LastUsed::Time::max().time_since_epoch())
                        .count();
  const std::uint64_t bounded = std::min(stamp, static_cast<std::uint64_t>(most));
  return LastUsed::Time(std::chrono::microseconds(static_cast<std::int64_t>(bounded)));
}

LastUsed::Stamps newest(const std::vector<Record>& records) {
  LastUsed::Stamps stamps;
  for (const Record& record : records) stamps[record.tag] = time_of(record.value);
  return stamps;
}

std::vector<Record> records_of(const LastUsed::Stamps& stamps) {
  std::vector<Record> records;
  for (const auto& [tag, time] : stamps) records.push_back({tag, stamp_of(time)});
  return records;
}

}  // namespace

LastUsed::LastUsed(const Root& root, std::chrono::milliseconds interval, FileSystem& files)
    : root_(root), interval_(interval), files_(files) {}

std::string LastUsed::path_of(const std::string& shard) const { return log_of(shard).path(); }

std::uint64_t LastUsed::tag_of(const Digest& full) noexcept {
  return load_little_endian<std::uint64_t>(std::span(full.bytes).first<sizeof(std::uint64_t)>());
}

void LastUsed::stamp(const CacheKey& key) noexcept {
  stamp(key, std::chrono::system_clock::now(), std::chrono::steady_clock::now());
}

void LastUsed::stamp(const CacheKey& key, Time now,
                     std::chrono::steady_clock::time_point clock) noexcept {
  try {
    {
      const std::lock_guard lock(mutex_);
      if (written_.size() >= kTableEntries) written_.clear();
      const auto [place, is_new] = written_.try_emplace(key.full, clock);
      if (!is_new && clock - place->second < interval_) return;
      place->second = clock;
    }
    const std::string shard = key.shard();
    RecordLog log = log_of(shard);
    const IoResult<std::uint64_t> size = log.append({{tag_of(key.full), stamp_of(now)}});
    if (size.ok() && size.value > kLogBytes) replace(shard, read(shard));
  } catch (const std::exception&) {
    // No memory: the stamp is lost, which is no harm.
    return;
  }
}

LastUsed::Stamps LastUsed::read(const std::string& shard) {
  return newest(log_of(shard).read().records);
}

void LastUsed::replace(const std::string& shard, const Stamps& stamps) {
  static_cast<void>(log_of(shard).replace(records_of(stamps)));
}

RecordLog LastUsed::log_of(const std::string& shard) const {
  return {root_, shard + ".used", files_};
}

}  // namespace fourge::cache
