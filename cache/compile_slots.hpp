// How many compiles run at once on a host, over all processes of this user: slots, each of them a
// lock file (cache/lock_file.hpp) in the host's lock directory. Whoever compiles holds one. A slot of
// a process that dies is free at once, one of a stopped process after LockTiming::stuck_after.
//
// A limit, not a promise: without a usable directory there is none, and after a bounded wait the
// caller compiles without a slot.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "cache/lock_file.hpp"

namespace fourge::cache {

// What a compile may need, generously.
inline constexpr std::uint64_t kBytesPerCompile = std::uint64_t{512} << 20U;

// Processors that this process may use, by its affinity and its control group; at least 1.
std::size_t usable_processors();
// Memory of this machine, or of this process's control group if that is less.
std::uint64_t usable_memory();
// min(usable_processors(), usable_memory() / kBytesPerCompile), at least 1.
std::size_t default_compile_slots();

struct SlotResult {
  LockOutcome outcome = LockOutcome::unavailable;
  std::optional<LockFile> slot{};  // if acquired
  std::string detail{};            // if unavailable: what is wrong with the directory
};

// Any of `count` slots. should_stop as in KeyLock::acquire(). Throws only what it throws.
SlotResult acquire_compile_slot(const std::string& directory, std::size_t count,
                                std::chrono::steady_clock::time_point deadline,
                                const std::function<bool()>& should_stop,
                                const LockTiming& timing = {});

}  // namespace fourge::cache
