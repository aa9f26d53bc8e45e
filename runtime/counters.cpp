#include "runtime/counters.hpp"

#include <algorithm>

namespace fourge {

Stats Counters::snapshot() const {
  Stats stats;
  stats.memory_hits = memory_hits.value();
  stats.disk_hits = disk_hits;
  stats.read_only_hits = read_only_hits;
  stats.bundle_hits = bundle_hits;
  stats.promotions = promotions;
  stats.promotion_failures = promotion_failures;
  stats.compiles = compiles;
  stats.compile_failures = compile_failures;
  stats.remembered_failures = remembered_failures;
  stats.replaced_holders = replaced_holders;
  stats.waits = waits;
  stats.heals = heals;
  stats.miss_absent = miss_absent;
  stats.miss_format = miss_format;
  stats.miss_key = miss_key;
  stats.miss_corrupt = miss_corrupt;
  stats.miss_unreadable = miss_unreadable;
  stats.miss_untrusted = miss_untrusted;
  stats.miss_disabled = miss_disabled;
  stats.publish_failures = publish_failures;
  stats.loads = loads;
  stats.evictions = evictions;
  stats.bytes_evicted = bytes_evicted;
  stats.bytes_written = bytes_written;
  stats.compile_nanoseconds = compile_nanoseconds;
  stats.lookup_nanoseconds = lookup_nanoseconds;
  stats.wait_nanoseconds = wait_nanoseconds;
  stats.frozen_misses = frozen_misses;
  stats.fallback_swaps = fallback_swaps;
  stats.cancelled = cancelled;
  stats.worker_compiles = worker_compiles;
  return stats;
}

cache::CounterValues kept_counters(const Stats& stats) {
  using cache::CounterId;
  cache::CounterValues kept;
  const std::uint64_t lower_hits = stats.read_only_hits + stats.bundle_hits;
  kept[CounterId::memory_hits] = stats.memory_hits;
  kept[CounterId::local_hits] = std::max(stats.disk_hits, lower_hits) - lower_hits;
  kept[CounterId::read_only_hits] = stats.read_only_hits;
  kept[CounterId::bundle_hits] = stats.bundle_hits;
  kept[CounterId::miss_absent] = stats.miss_absent;
  kept[CounterId::miss_format] = stats.miss_format;
  kept[CounterId::miss_key] = stats.miss_key;
  kept[CounterId::miss_corrupt] = stats.miss_corrupt;
  kept[CounterId::miss_unreadable] = stats.miss_unreadable;
  kept[CounterId::miss_untrusted] = stats.miss_untrusted;
  kept[CounterId::miss_disabled] = stats.miss_disabled;
  kept[CounterId::compiles] = stats.compiles;
  kept[CounterId::compile_failures] = stats.compile_failures;
  kept[CounterId::remembered_failures] = stats.remembered_failures;
  kept[CounterId::waits] = stats.waits;
  kept[CounterId::heals] = stats.heals;
  kept[CounterId::publish_failures] = stats.publish_failures;
  kept[CounterId::evictions] = stats.evictions;
  kept[CounterId::bytes_written] = stats.bytes_written;
  kept[CounterId::bytes_evicted] = stats.bytes_evicted;
  kept[CounterId::compile_nanoseconds] = stats.compile_nanoseconds;
  kept[CounterId::lookup_nanoseconds] = stats.lookup_nanoseconds;
  kept[CounterId::replaced_holders] = stats.replaced_holders;
  kept[CounterId::promotions] = stats.promotions;
  kept[CounterId::promotion_failures] = stats.promotion_failures;
  kept[CounterId::loads] = stats.loads;
  kept[CounterId::wait_nanoseconds] = stats.wait_nanoseconds;
  return kept;
}

}  // namespace fourge
