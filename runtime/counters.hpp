// Counters of a Runtime. Those on the hit path are spread over cache lines, so that threads that
// only hit do not slow one another.
#pragma once

#include <fourge/stats.hpp>

#include "cache/disk_counters.hpp"

#include <sched.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace fourge {

class SpreadCounter {
 public:
  void add() noexcept {
    // Threads that run at the same time are on different processors.
    const std::size_t slot = static_cast<std::size_t>(::sched_getcpu()) % kSlots;
    slots_[slot].value.fetch_add(1, std::memory_order_relaxed);
  }
  std::uint64_t value() const noexcept {
    std::uint64_t sum = 0;
    for (const Slot& slot : slots_) {
      sum += slot.value.load(std::memory_order_relaxed);
    }
    return sum;
  }

 private:
  static constexpr std::size_t kSlots = 64;
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> value{0};
  };
  std::array<Slot, kSlots> slots_;
};

struct Counters {
  using Counter = std::atomic<std::uint64_t>;
  SpreadCounter memory_hits;
  Counter disk_hits{0};
  Counter read_only_hits{0};
  Counter bundle_hits{0};
  Counter promotions{0};
  Counter promotion_failures{0};
  Counter compiles{0};
  Counter compile_failures{0};
  Counter remembered_failures{0};
  Counter replaced_holders{0};
  Counter waits{0};
  Counter heals{0};
  Counter miss_absent{0};
  Counter miss_format{0};
  Counter miss_key{0};
  Counter miss_corrupt{0};
  Counter miss_unreadable{0};
  Counter miss_untrusted{0};
  Counter miss_disabled{0};
  Counter publish_failures{0};
  Counter loads{0};
  Counter evictions{0};
  Counter bytes_evicted{0};
  Counter bytes_written{0};
  Counter compile_nanoseconds{0};
  Counter lookup_nanoseconds{0};
  Counter wait_nanoseconds{0};
  Counter frozen_misses{0};
  Counter fallback_swaps{0};
  Counter cancelled{0};
  Counter worker_compiles{0};

  Stats snapshot() const;
};

// What is kept on disk of them: those about cubins, hits apart by tier.
cache::CounterValues kept_counters(const Stats& stats);

}  // namespace fourge
