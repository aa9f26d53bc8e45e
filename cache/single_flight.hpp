// Work for a key that one process of the host does while the others wait for its result: look, lock,
// look again, take a slot, work. What it saves is work only. Every way in which locks can fail (there
// is no usable directory, the file system has none, the wait takes too long, the holder cannot
// publish) ends in the caller doing the work itself, and two who do the same work must do no harm.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "cache/compile_slots.hpp"
#include "cache/key.hpp"
#include "cache/key_lock.hpp"

namespace fourge::cache {

struct FlightOptions {
  std::string lock_directory;
  // Where results appear (the cache's root): processes with different caches cannot use one
  // another's work. Empty: results are not shared, nobody waits for another.
  std::string scope;
  std::chrono::milliseconds wait{120'000};  // for the key's lock, and again for a slot
  std::size_t slots = 0;                    // at once on this host; 0: no limit
  LockTiming timing{};
};

struct FlightActions {
  // Cheap: whether something has appeared that take() may like. Called every 10 to 25 ms of a wait.
  std::function<bool()> appeared;
  // Verifies and takes another's result; false if there is none that is good.
  std::function<bool()> take;
  // Does the work and publishes; false if others will not find the result. What it throws passes on.
  std::function<bool()> make;
  // May be empty. Called in a wait as often as appeared, and when make() threw; throws if the caller does
  // not want the result any more. That ends the wait, and another may take over at once.
  std::function<void()> poll = {};
};

struct FlightReport {
  bool made = false;      // by this call
  bool waited = false;    // for another's result
  bool queued = false;    // for a slot
  bool replaced = false;  // a stuck holder of the key
  std::string
      no_lock{};  // why there was no lock of the key; empty if there was, or none was needed
  std::string no_slot{};
};

FlightReport make_once(const CacheKey& key, const FlightOptions& options,
                       const FlightActions& actions);

}  // namespace fourge::cache
