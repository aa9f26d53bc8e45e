#include "cache/tiered_cache.hpp"

#include <fmt/format.h>

#include <exception>
#include <filesystem>
#include <system_error>
#include <utility>

namespace fourge::cache {

TieredCache::TieredCache(DiskStore* local, std::vector<std::unique_ptr<ReadOnlyTier>> lower,
                         bool promote, Evictor* evictor)
    : local_(local != nullptr && local->enabled() ? local : nullptr),
      evictor_(local_ != nullptr ? evictor : nullptr),
      promote_(promote) {
  if (local_ != nullptr) slots_.push_back(std::make_unique<Slot>());
  for (std::unique_ptr<ReadOnlyTier>& tier : lower) {
    slots_.push_back(std::make_unique<Slot>());
    slots_.back()->tier = std::move(tier);
  }
}

TieredResult TieredCache::lookup(const CacheKey& key, const EntryCheck& check) noexcept {
  return ask_all([&] { return local_->lookup(key, check); },
                 [&](ReadOnlyTier& tier) { return tier.lookup(key, check); });
}

TieredResult TieredCache::lookup_request(const CacheKey& key, const EntryCheck& check) noexcept {
  return ask_all([&] { return local_->lookup_request(key, check); },
                 [&](ReadOnlyTier& tier) { return tier.lookup_request(key, check); });
}

template <class LookLocal, class LookBelow>
TieredResult TieredCache::ask_all(const LookLocal& look_local, const LookBelow& look_below) {
  TieredResult result;
  try {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      Slot& slot = *slots_[i];
      LookupResult found = slot.tier ? look_below(*slot.tier) : look_local();
      if (!found.entry) {
        note_miss(i, std::move(found), result);
        continue;
      }
      slot.hits.fetch_add(1, std::memory_order_relaxed);
      result.entry = std::move(found.entry);
      result.tier = i;
      result.kind = slot.tier ? slot.tier->kind() : TierKind::local;
      result.path = slot.tier ? slot.tier->path() : local_->root();
      note_hit(result);
      return result;
    }
  } catch (const std::exception&) {
    result.entry.reset();  // no memory: a miss
  }
  return result;
}

void TieredCache::note_miss(std::size_t tier, LookupResult miss, TieredResult& result) {
  Slot& slot = *slots_[tier];
  slot.misses.at(static_cast<std::size_t>(miss.cause)).fetch_add(1, std::memory_order_relaxed);
  if (slot.tier && miss.cause != MissCause::absent && !slot.warned.exchange(true)) {
    result.warnings.push_back(
        fmt::format("the read-only cache tier {} is passed over where it is bad ({}): {}",
                    slot.tier->path(), to_string(miss.cause), miss.detail));
  }
  // A mistyped path looks like an empty cache.
  if (slot.tier && miss.cause == MissCause::absent &&
      !slot.missed.load(std::memory_order_relaxed)) {
    std::error_code error;
    if (!std::filesystem::exists(slot.tier->path(), error) && !slot.missed.exchange(true)) {
      result.warnings.push_back(
          fmt::format("there is no read-only cache tier {}", slot.tier->path()));
    }
  }
  result.misses.push_back({tier, miss.cause, std::move(miss.detail), miss.set_aside});
}

void TieredCache::note_hit(TieredResult& result) {
  if (local_ == nullptr) return;
  const auto request = Digest::from_hex(result.entry->request_hex);
  const auto full = Digest::from_hex(result.entry->key_hex);
  if (!request || !full) return;
  const CacheKey key{*request, *full, result.entry->record};
  if (result.kind == TierKind::local) {
    if (evictor_ != nullptr) evictor_->used(key);
    return;
  }
  if (!promote_) return;
  result.promoted = publish(key, result.entry->payload).ok;
  result.promotion_failed = !result.promoted;
  (result.promoted ? promotions_ : promotion_failures_).fetch_add(1, std::memory_order_relaxed);
}

PublishResult TieredCache::publish(const CacheKey& key,
                                   std::span<const std::byte> payload) noexcept {
  PublishResult result;
  if (local_ != nullptr) {
    result = local_->publish(key, payload);
    if (result.ok && evictor_ != nullptr) {
      static_cast<void>(evictor_->published(key, encoded_entry_bytes(key, payload.size())));
    }
    return result;
  }
  try {
    result.detail = "there is no local cache directory";
  } catch (const std::exception&) {
    result.detail.clear();
  }
  return result;
}

std::string TieredCache::path_of(const CacheKey& key) const {
  return local_ == nullptr ? std::string() : local_->path_of(key);
}

TieredCounters TieredCache::counters() const {
  TieredCounters counters;
  for (const std::unique_ptr<Slot>& slot : slots_) {
    TierCounters tier;
    tier.kind = slot->tier ? slot->tier->kind() : TierKind::local;
    tier.path = slot->tier ? slot->tier->path() : local_->root();
    tier.hits = slot->hits.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < kMissCauses; ++i) {
      tier.misses.at(i) = slot->misses.at(i).load(std::memory_order_relaxed);
    }
    counters.tiers.push_back(std::move(tier));
  }
  counters.promotions = promotions_.load(std::memory_order_relaxed);
  counters.promotion_failures = promotion_failures_.load(std::memory_order_relaxed);
  return counters;
}

}  // namespace fourge::cache
