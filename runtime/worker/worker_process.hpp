// One worker process: builds the specs that it is handed, one at a time, and is killed when one takes too
// long or too much memory. Not thread-safe.
#pragma once

#include <fourge/kernel_spec.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/worker/child_process.hpp"
#include "runtime/worker/worker_protocol.hpp"

namespace fourge::worker {

// How often memory is looked at.
inline constexpr std::chrono::milliseconds kMemoryLook{50};

struct WorkerSettings {
  std::vector<std::string> command;      // how to start a worker; command[0] is the program's path
  std::vector<std::string> environment;  // NAME=VALUE
  std::chrono::milliseconds deadline{600'000};  // of one build
  std::uint64_t memory_bytes = 0;               // resident; 0: no limit
};

class WorkerProcess {
 public:
  using Clock = std::chrono::steady_clock;

  // Throws Error(io) if it cannot be started. The settings outlive the worker.
  explicit WorkerProcess(const WorkerSettings& settings);

  const KernelSpec* spec() const noexcept { return spec_; }  // null: it has nothing to do
  Clock::time_point deadline() const noexcept { return deadline_; }
  int output() const noexcept { return process_.output(); }  // to poll for reading

  // The spec must live until finish_spec(). A worker that died meanwhile shows by the end of its
  // output.
  void hand_out(const KernelSpec& spec);
  void finish_spec() noexcept { spec_ = nullptr; }

  enum class State { waiting, answered, ended };
  // Reads what is there. answered: answer holds what it said.
  State read(WorkerAnswer& answer);
  // After ended: what became of the build. ("worker_died", or kOutOfMemory.)
  WorkerAnswer take_end();
  // After take_end(): whether it left without ever having answered, of its own accord. Then it is no worker, or cannot be one
  // here.
  bool left_unused() const noexcept { return left_unused_; }
  // Past the deadline or the memory limit it is killed, and that is the answer ("timeout" or
  // kOutOfMemory).
  std::optional<WorkerAnswer> kill_if_bad();
  void kill_and_wait();
  // Lets it come to its end.
  int wait();
  // The same for one with nothing to do, but no longer than that; then it is killed.
  void end(std::chrono::milliseconds patience);

 private:
  WorkerAnswer too_large(std::uint64_t bytes, const std::string& end) const;

  const WorkerSettings& settings_;
  ChildProcess process_;
  const KernelSpec* spec_ = nullptr;
  Clock::time_point deadline_;
  std::string received_;
  bool has_answered_ = false;
  bool left_unused_ = false;
};

}  // namespace fourge::worker
