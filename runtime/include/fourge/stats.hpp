// Counters of one Runtime since its creation. A snapshot: fields are read one after another. Hits and
// heals are those of host execution too; the rest is about cubins, but for host_compiles. A build that
// finds nothing is one miss, however often it looks; each bad entry on the way is a miss of its own.
// Taken by any thread at any time.
#pragma once

#include <cstdint>

namespace fourge {

struct Stats {
  std::uint64_t memory_hits = 0;     // prepare()/build() answered from memory
  std::uint64_t disk_hits = 0;       // answered by a verified entry on disk; of these
  std::uint64_t read_only_hits = 0;  //   in a read-only directory
  std::uint64_t bundle_hits = 0;     //   in a bundle
  std::uint64_t promotions = 0;      // copied from there into the cache directory
  std::uint64_t promotion_failures = 0;
  std::uint64_t compiles = 0;  // NVRTC runs that succeeded
  std::uint64_t compile_failures = 0;
  std::uint64_t remembered_failures = 0;  // failed compiles of before that were not tried again
  std::uint64_t replaced_holders = 0;     // stuck processes whose compile this Runtime took over
  std::uint64_t waits = 0;        // waited for another thread or process that compiled the same key
  std::uint64_t heals = 0;        // bad entries set aside and rebuilt
  std::uint64_t miss_absent = 0;  // misses by cause
  std::uint64_t miss_format = 0;  // another format version
  std::uint64_t miss_key = 0;     // an entry that is not the one its name claims
  std::uint64_t miss_corrupt = 0;  // length or digest wrong
  std::uint64_t miss_unreadable = 0;
  std::uint64_t miss_untrusted = 0;  // owner, mode or signature
  std::uint64_t miss_disabled = 0;   // there is no cache directory
  std::uint64_t publish_failures = 0;
  std::uint64_t loads = 0;          // libraries loaded into the driver
  std::uint64_t evictions = 0;      // entries that this Runtime removed to keep the byte limit
  std::uint64_t bytes_evicted = 0;  // of their files
  std::uint64_t bytes_written = 0;  // of entries put into the cache directory
  std::uint64_t host_compiles = 0;  // kernels compiled for host execution
  std::uint64_t compile_nanoseconds = 0;
  std::uint64_t lookup_nanoseconds = 0;  // in the disk caches
  std::uint64_t wait_nanoseconds = 0;    // for another's compile, or for a compile slot
  std::uint64_t frozen_misses = 0;       // misses after Runtime::freeze(), whatever the policy
  std::uint64_t fallback_swaps = 0;      // kernels that took the place of their fallback variant
  std::uint64_t worker_compiles = 0;  // done by worker processes for this Runtime; not in compiles
  std::uint64_t cancelled = 0;        // requests that ended by a cancel
};

}  // namespace fourge
