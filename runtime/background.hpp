// Threads that work off requests: prepare_async(), prepare_all() and what stands behind a fallback.
//
// Threads are made when there is work and live until shut_down(). Thread-safe, but for shut_down().
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>
#include <thread>
#include <vector>

namespace fourge {

class CompileElsewhere;

// What each of the threads has for itself.
class BackgroundLane {
 public:
  BackgroundLane() = default;
  virtual ~BackgroundLane() = default;
  BackgroundLane(const BackgroundLane&) = delete;
  BackgroundLane& operator=(const BackgroundLane&) = delete;
  // Who compiles for it; null: this process.
  virtual CompileElsewhere* elsewhere() noexcept { return nullptr; }
  // There was no work for kIdle.
  virtual void idle() noexcept {}
};

// run() gets the request's stop token. It must not throw, must end soon when a stop is requested as far
// as that lies in its hands, and own or share all that it touches: it may outlive the Background.
struct BackgroundTask {
  std::stop_source stop;
  std::function<void(const std::stop_token&, BackgroundLane&)> run;
};

class Background {
 public:
  static constexpr std::chrono::seconds kIdle{5};

  Background(std::size_t lanes, std::function<std::unique_ptr<BackgroundLane>()> make_lane);
  // shut_down() without waiting, if that was not called.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  void submit(BackgroundTask task);
  // Requests that wait or run.
  std::size_t pending() const noexcept;

  // Requests a stop of every task. Those that wait are run here, stopped; those that run are waited
  // for, but no longer than that. True if none is left; else its thread goes on alone.
  bool shut_down(std::chrono::milliseconds patience) noexcept;

 private:
  struct Shared;
  static void work(const std::shared_ptr<Shared>& shared);

  std::shared_ptr<Shared> shared_;
  std::vector<std::thread> threads_;
};

}  // namespace fourge
