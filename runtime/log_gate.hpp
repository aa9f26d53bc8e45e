// Between the library and the embedder's log callback: once it is closed, the callback is not called
// any more, whatever threads are still at work.
#pragma once

#include <fourge/options.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>

namespace fourge {

class LogGate {
 public:
  using Sink = std::function<void(LogLevel, std::string_view)>;

  // Unset if the sink is.
  static Sink guard(std::shared_ptr<LogGate> gate, Sink sink) {
    if (!sink) {
      return {};
    }
    return [gate = std::move(gate), sink = std::move(sink)](LogLevel level, std::string_view text) {
      const Inside inside(*gate);
      if (!gate->closed_) {
        sink(level, text);
      }
    };
  }

  // Waits for callbacks that are running.
  void close() noexcept {
    closed_ = true;
    while (inside_ != 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

 private:
  struct Inside {
    explicit Inside(LogGate& owner) : gate(owner) { ++gate.inside_; }
    ~Inside() { --gate.inside_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    LogGate& gate;
  };

  // Both sequentially consistent: who is inside before close() is seen by it, who comes later sees it.
  std::atomic<bool> closed_{false};
  std::atomic<int> inside_{0};
};

}  // namespace fourge
