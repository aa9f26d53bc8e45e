// Keeps the entries of a DiskStore below a number of bytes: the least recently used go first.
//
//   ROOT/usage/sizes.v2   records (cache/record_log.hpp) of a shard's number and its bytes, the last
//                         one counts; number + 256: a first guess, that any other replaces
//   ROOT/usage/SHARD.used when entries were used (cache/last_used.hpp)
//
// A publish counts its own shard (a 256th of the store) and adds up the known sizes of the others.
// Only when the sum passes 31/32 of the limit is the whole store looked at, and then entries are
// removed down to 7/8. So a look at N entries removes a fixed share of them, and the work
// is in proportion to what is removed. What a crash, a race or another process made wrong in the
// sizes is put right by the next count.
//
// Never removed: entries hit within the policy's in_use_window, entries held by hold() in this
// process, and the keep_recent entries used last. If these alone are more than the limit, the store
// stays above it.
//
// One evictor works at a time on each host (a lock in the host's lock directory; without one, or
// between hosts, several may: they choose the same entries, and a file that is gone already counts
// as removed). Who finds another at work returns at once, unless the store is above the limit: then
// it waits for a while, or fast writers would outrun one slow evictor. So each writer has at most the
// one entry above the limit that it has just published. Readers are never in the way: a file that
// is open stays readable, and a look-up that comes too late is a plain miss.
//
// Thread-safe. Creates nothing before the first call of used() or published().
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cache/file_system.hpp"
#include "cache/key.hpp"
#include "cache/last_used.hpp"
#include "cache/record_log.hpp"

namespace fourge::cache {

inline constexpr std::uint64_t kDefaultByteLimit = std::uint64_t{1} << 30U;

struct EvictionPolicy {
  std::uint64_t byte_limit = kDefaultByteLimit;  // of entry files; 0: no limit
  std::size_t keep_recent = 16;                  // entries
  // Where the lock of this host lies (cache/key_lock.hpp); empty: work without one.
  std::string lock_directory = {};
  TrustPolicy trust = {};  // of the root, as the store's
  // An entry that was hit this recently is in use. More than stamp_interval, or it means little.
  std::chrono::milliseconds in_use_window = std::chrono::minutes(10);
  // A hit of one entry is noted at most this often by each process.
  std::chrono::milliseconds stamp_interval = std::chrono::minutes(5);
  // published() waits no longer than this for another evictor.
  std::chrono::milliseconds longest_wait = std::chrono::seconds(2);
};

struct EvictReport {
  std::size_t removed = 0;          // entries
  std::uint64_t removed_bytes = 0;  // of their files
  std::uint64_t bytes = 0;          // in the store afterwards, as far as known
  std::size_t in_use = 0;           // entries that would have gone, had they not been in use
  bool looked = false;              // at the whole store
  bool busy = false;                // another evictor is at work, and this one gave way
  std::string detail;               // what could not be read or removed; empty if all is well
};

// What one evictor has done.
struct EvictorCounters {
  std::uint64_t published_bytes = 0;
  std::uint64_t removed = 0;
  std::uint64_t removed_bytes = 0;
};

class Evictor {
 public:
  // The file system must outlive the evictor. An empty root makes one that does nothing.
  explicit Evictor(std::string root, EvictionPolicy policy = {},
                   FileSystem& files = posix_file_system());

  const EvictionPolicy& policy() const noexcept { return policy_; }
  EvictorCounters counters() const;

  // The entry was hit. Costs a look into a table, and every stamp_interval a small write, whose
  // failure (a read-only cache) is ignored.
  void used(const CacheKey& key) noexcept;

  // The entry is not removed by this evictor before as many calls of release().
  void hold(const CacheKey& key);
  void release(const CacheKey& key) noexcept;

  // To be called after every publish; removes what is too much. file_bytes: size of the entry's
  // file.
  EvictReport published(const CacheKey& key, std::uint64_t file_bytes) noexcept;

  // Looks at the whole store and removes what is above the limit now.
  EvictReport trim() noexcept;

 private:
  struct Candidate {
    std::string path;
    std::size_t shard = 0;
    std::uint64_t bytes = 0;
    LastUsed::Time used{};
    bool in_use = false;
  };
  struct Survey;

  static constexpr std::size_t kShards = 256;

  struct Sizes {
    std::array<std::optional<std::uint64_t>, kShards> bytes;
    std::uint64_t log_bytes = 0;
  };

  EvictReport checked_published(const CacheKey& key, std::uint64_t file_bytes);
  // Removes until at most `target` bytes are left, if there are more than `trigger`.
  EvictReport evict(std::uint64_t trigger, std::uint64_t target);
  EvictReport evict_locked(std::uint64_t target);
  bool is_pausing();
  bool add_round(EvictReport once, std::uint64_t trigger, EvictReport& all);
  void remove_until(Survey& survey, std::uint64_t target, EvictReport& report);
  Survey survey_store();
  void survey_shard(std::size_t shard, LastUsed::Time now, Survey& survey);
  using TakeEntry =
      std::function<void(const std::string& path, const std::string& name, const FileStatus&)>;
  bool visit_shard(std::size_t shard, const TakeEntry& take, std::string& detail);
  bool count_shard(std::size_t shard, std::uint64_t& bytes);
  std::uint64_t total_bytes();
  Sizes read_sizes();
  void compact_sizes();
  std::optional<std::uint64_t> settle_shard(std::size_t shard);
  void sweep_temporaries(LastUsed::Time now);
  std::string shard_directory(std::size_t shard) const;
  static std::string shard_name(std::size_t shard);
  static std::optional<std::size_t> shard_number(const std::string& name);

  Root root_;
  EvictionPolicy policy_;
  FileSystem& files_;
  LastUsed last_used_;
  RecordLog sizes_;
  mutable std::mutex mutex_;                      // of what follows
  std::map<std::size_t, std::uint64_t> counted_;  // by this process, for want of a file
  std::map<std::string, std::size_t> held_;       // file name to count
  std::chrono::steady_clock::time_point pause_until_{};
  EvictorCounters counters_;
};

}  // namespace fourge::cache
