// The places where an entry may be, asked in order: the local store, which is written too (it may be
// missing), then read-only tiers.
//
// A tier that has a bad entry, or that is not trusted, is passed over: the next one is asked. What is
// found in a lower tier can be copied into the local store (promoted); that this fails is no error.
// Making a TieredCache touches no file. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/disk_store.hpp"
#include "cache/evictor.hpp"
#include "cache/read_only_tier.hpp"

namespace fourge::cache {

inline constexpr std::size_t kMissCauses = static_cast<std::size_t>(MissCause::disabled) + 1;

struct TierMiss {
  std::size_t tier = 0;
  MissCause cause = MissCause::absent;
  std::string detail;
  bool set_aside = false;  // local tier only: the bad entry was moved away
};

struct TieredResult {
  std::optional<Entry> entry;
  std::size_t tier = 0;  // these three: if there is an entry. The local tier is 0 if there is one.
  TierKind kind = TierKind::local;
  std::string path;       // of the tier
  bool promoted = false;  // it is in the local store now, and was not
  bool promotion_failed = false;
  std::vector<TierMiss> misses;  // of the tiers before, in their order
  // What is wrong with a read-only tier; each tier is complained of once, and once more if it does not exist.
  std::vector<std::string> warnings;
};

struct TierCounters {
  TierKind kind = TierKind::local;
  std::string path;
  std::uint64_t hits = 0;
  std::array<std::uint64_t, kMissCauses> misses{};  // by MissCause
};

struct TieredCounters {
  std::vector<TierCounters> tiers;
  std::uint64_t promotions = 0;
  std::uint64_t promotion_failures = 0;
};

class TieredCache {
 public:
  // local may be null. The evictor is told of hits in the local store and of what is published there;
  // it may be null, too. Both must outlive this.
  TieredCache(DiskStore* local, std::vector<std::unique_ptr<ReadOnlyTier>> lower, bool promote,
              Evictor* evictor = nullptr);

  std::size_t tiers() const noexcept { return slots_.size(); }

  // These two never throw. An entry that the check refuses is a bad one of its tier: it is neither
  // handed out nor promoted.
  TieredResult lookup(const CacheKey& key, const EntryCheck& check = {}) noexcept;
  // By the request alone (DiskStore::lookup_request).
  TieredResult lookup_request(const CacheKey& key, const EntryCheck& check = {}) noexcept;

  // Into the local store. Never throws.
  PublishResult publish(const CacheKey& key, std::span<const std::byte> payload) noexcept;
  // In the local store; empty if there is none.
  std::string path_of(const CacheKey& key) const;

  TieredCounters counters() const;

 private:
  struct Slot {
    std::unique_ptr<ReadOnlyTier> tier;  // null: the local store
    std::atomic<std::uint64_t> hits{0};
    std::array<std::atomic<std::uint64_t>, kMissCauses> misses{};
    std::atomic<bool> warned{false};
    std::atomic<bool> missed{false};  // said that the tier does not exist
  };

  template <class LookLocal, class LookBelow>
  TieredResult ask_all(const LookLocal& look_local, const LookBelow& look_below);
  void note_miss(std::size_t tier, LookupResult miss, TieredResult& result);
  // Of a hit: the key is what the entry says.
  void note_hit(TieredResult& result);

  DiskStore* local_;
  Evictor* evictor_;
  bool promote_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::atomic<std::uint64_t> promotions_{0};
  std::atomic<std::uint64_t> promotion_failures_{0};
};

}  // namespace fourge::cache
