#include "runtime/background.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

namespace fourge {

struct Background::Shared {
  std::size_t lanes = 1;
  std::function<std::unique_ptr<BackgroundLane>()> make_lane;

  std::mutex mutex;  // of what follows
  std::condition_variable changed;
  std::deque<BackgroundTask> waiting;
  std::vector<std::stop_source> running;
  std::size_t threads = 0;  // that live
  std::size_t free = 0;     // of these, without a task
  bool closed = false;

  std::atomic<std::size_t> pending{0};
};

Background::Background(std::size_t lanes,
                       std::function<std::unique_ptr<BackgroundLane>()> make_lane)
    : shared_(std::make_shared<Shared>()) {
  shared_->lanes = std::max<std::size_t>(lanes, 1);
  shared_->make_lane = std::move(make_lane);
}

Background::~Background() {
  if (!threads_.empty()) {
    shut_down(std::chrono::milliseconds(0));
  }
}

void Background::submit(BackgroundTask task) {
  const std::lock_guard lock(shared_->mutex);
  shared_->waiting.push_back(std::move(task));
  ++shared_->pending;
  if (shared_->free < shared_->waiting.size() && shared_->threads < shared_->lanes) {
    try {
      threads_.emplace_back([shared = shared_] { work(shared); });
    } catch (...) {
      if (shared_->threads == 0) {  // nobody would ever take it
        shared_->waiting.pop_back();
        --shared_->pending;
        throw;
      }
    }
    ++shared_->threads;
  }
  shared_->changed.notify_all();
}

std::size_t Background::pending() const noexcept { return shared_->pending; }

void Background::work(const std::shared_ptr<Shared>& shared) {
  auto lane = shared->make_lane();
  std::unique_lock lock(shared->mutex);
  for (;;) {
    ++shared->free;
    const auto wanted = [&] { return shared->closed || !shared->waiting.empty(); };
    if (!shared->changed.wait_for(lock, kIdle, wanted)) {
      lock.unlock();
      lane->idle();
      lock.lock();
      shared->changed.wait(lock, wanted);
    }
    --shared->free;
    if (shared->closed) {
      break;
    }
    BackgroundTask task = std::move(shared->waiting.front());
    shared->waiting.pop_front();
    shared->running.push_back(task.stop);
    lock.unlock();
    task.run(task.stop.get_token(), *lane);
    task.run = nullptr;  // and what it holds, before anybody is told
    lock.lock();
    auto& running = shared->running;
    running.erase(std::find(running.begin(), running.end(), task.stop));
    --shared->pending;
    shared->changed.notify_all();
  }
  lock.unlock();
  lane.reset();  // before anybody is told
  lock.lock();
  --shared->threads;
  shared->changed.notify_all();
}

bool Background::shut_down(std::chrono::milliseconds patience) noexcept {
  std::deque<BackgroundTask> dropped;
  std::unique_lock lock(shared_->mutex);
  shared_->closed = true;
  dropped.swap(shared_->waiting);
  const auto running = shared_->running;
  shared_->changed.notify_all();
  lock.unlock();
  for (std::stop_source stop : running) {
    stop.request_stop();
  }
  BackgroundLane nothing;
  for (BackgroundTask& task : dropped) {
    task.stop.request_stop();
    task.run(task.stop.get_token(), nothing);
    --shared_->pending;
  }
  lock.lock();
  const bool ended =
      shared_->changed.wait_for(lock, patience, [this] { return shared_->threads == 0; });
  lock.unlock();
  for (std::thread& thread : threads_) {
    ended ? thread.join() : thread.detach();
  }
  threads_.clear();
  return ended;
}

}  // namespace fourge
