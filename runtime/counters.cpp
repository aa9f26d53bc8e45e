#include "runtime/counters.hpp"

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
  stats.waits = waits;
  stats.heals = heals;
  stats.miss_absent = miss_absent;
  stats.miss_format = miss_format;
  stats.miss_key = miss_key;
  stats.miss_corrupt = miss_corrupt;
  stats.miss_unreadable = miss_unreadable;
  stats.publish_failures = publish_failures;
  stats.loads = loads;
  stats.compile_nanoseconds = compile_nanoseconds;
  return stats;
}

}  // namespace fourge
