// What the copies of a Pending and the thread that works for it share. Thread-safe.
#pragma once

#include <fourge/pending.hpp>

#include "runtime/stored_error.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

namespace fourge::detail {

template <class T>
class PendingState {
 public:
  std::stop_source& stop() noexcept { return stop_; }

  // Once, by the worker: one of these two.
  void finish(T value) {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
    done_.notify_all();
  }
  void fail(StoredError error) {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
    done_.notify_all();
  }

  bool ready() const {
    const std::lock_guard lock(mutex_);
    return is_done();
  }
  bool wait_for(std::optional<std::chrono::nanoseconds> time) const {
    std::unique_lock lock(mutex_);
    if (!time) {
      done_.wait(lock, [this] { return is_done(); });
      return true;
    }
    return done_.wait_for(lock, *time, [this] { return is_done(); });
  }
  // After that.
  T get() const {
    const std::lock_guard lock(mutex_);
    if (error_) {
      error_->raise();
    }
    return *value_;
  }

 private:
  bool is_done() const { return value_.has_value() || error_.has_value(); }

  std::stop_source stop_;
  mutable std::mutex mutex_;
  mutable std::condition_variable done_;
  std::optional<T> value_;
  std::optional<StoredError> error_;
};

}  // namespace fourge::detail
