#include "cache/single_flight.hpp"

#include <optional>
#include <utility>

namespace fourge::cache {

namespace {

using Clock = std::chrono::steady_clock;

class Flight {
 public:
  Flight(const CacheKey& key, const FlightOptions& options, const FlightActions& actions)
      : options_(options), actions_(actions), lock_key_(key), look_(!options.scope.empty()) {
    lock_key_.full = sha256(options.scope + '\n' + key.full.hex());
  }

  FlightReport run() {
    if (!options_.scope.empty() && wait_for_lock()) return std::move(report_);
    const std::optional<LockFile> slot = wait_for_slot();
    // While this call was in the queue, a holder that was taken for stuck may have published.
    if (report_.queued && !options_.scope.empty() && actions_.take()) return std::move(report_);
    report_.made = true;
    make();
    return std::move(report_);
  }

 private:
  // True if another's result was taken.
  bool wait_for_lock() {
    const auto deadline = Clock::now() + options_.wait;
    if (acquire(deadline)) return true;
    if (!appeared_) return false;
    // What appeared is no good, and if it cannot be set aside it will stay: do not look at it again.
    look_ = false;
    return acquire(deadline);
  }

  bool acquire(Clock::time_point deadline) {
    appeared_ = false;
    const auto should_stop = [&] {
      report_.waited = true;
      poll();
      return look_ && actions_.appeared();
    };
    LockResult result = KeyLock::acquire(options_.lock_directory, lock_key_, deadline, should_stop,
                                         options_.timing);
    report_.replaced = report_.replaced || result.replaced;
    appeared_ = result.outcome == LockOutcome::stopped;
    if (result.outcome == LockOutcome::unavailable) report_.no_lock = std::move(result.detail);
    if (result.outcome == LockOutcome::timed_out) report_.no_lock = "the holder takes too long";
    // Others that waited know it too. Holding the lock would only make them work one by one.
    if (result.abandoned) {
      report_.no_lock = "the holder could not publish its result";
      result.lock.reset();
    }
    lock_ = std::move(result.lock);
    return actions_.take();
  }

  std::optional<LockFile> wait_for_slot() {
    if (options_.slots == 0) return std::nullopt;
    const auto should_stop = [&] {
      report_.queued = true;
      poll();
      return look_ && actions_.appeared();
    };
    SlotResult result =
        acquire_compile_slot(options_.lock_directory, options_.slots, Clock::now() + options_.wait,
                             should_stop, options_.timing);
    if (result.outcome == LockOutcome::unavailable) report_.no_slot = std::move(result.detail);
    if (result.outcome == LockOutcome::timed_out) report_.no_slot = "all slots are taken for long";
    return std::move(result.slot);
  }

  void make() {
    bool published = false;
    try {
      published = actions_.make();
    } catch (...) {
      end(is_unwanted());
      throw;
    }
    end(published);
  }

  void poll() const {
    if (actions_.poll) actions_.poll();
  }

  bool is_unwanted() const {
    try {
      poll();
      return false;
    } catch (...) {
      return true;
    }
  }

  // To release tells the next one to look and go on, to abandon tells all to help themselves.
  void end(bool release) {
    if (!lock_) return;
    if (release) {
      lock_->release();
    } else {
      lock_->abandon();
    }
  }

  const FlightOptions& options_;
  const FlightActions& actions_;
  CacheKey lock_key_;
  bool look_;  // at what appears
  FlightReport report_;
  std::optional<KeyLock> lock_;
  bool appeared_ = false;
};

}  // namespace

FlightReport make_once(const CacheKey& key, const FlightOptions& options,
                       const FlightActions& actions) {
  return Flight(key, options, actions).run();
}

}  // namespace fourge::cache
