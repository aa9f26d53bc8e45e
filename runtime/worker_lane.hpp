// A thread of the background that has its compiles done by a worker process of its own.
#pragma once

#include <fourge/options.hpp>
#include <fourge/runtime.hpp>

#include "runtime/background.hpp"
#include "runtime/build_request.hpp"
#include "runtime/compile_elsewhere.hpp"
#include "runtime/worker/worker_process.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace fourge {

// What the lanes of a Runtime share.
struct WorkerLaneSettings {
  WorkerLaneSettings(const Options& given, std::size_t lanes);

  Options options;  // a copy: a lane may outlive the Runtime's
  worker::WorkerSettings worker;
  std::atomic<bool> warned{false};
};

class WorkerLane : public BackgroundLane, private CompileElsewhere {
 public:
  explicit WorkerLane(std::shared_ptr<WorkerLaneSettings> settings);
  ~WorkerLane() override;

  CompileElsewhere* elsewhere() noexcept override { return this; }
  // Lets the process go.
  void idle() noexcept override;

 private:
  std::optional<Elsewhere> compile(const BuildRequest& request,
                                   const std::stop_token& stop) override;
  // Starts a worker if there is none; there is none afterwards if it died.
  worker::WorkerAnswer ask(const KernelSpec& spec, const std::stop_token& stop);
  void warn_once(const std::string& why);
  void let_go(std::chrono::milliseconds patience) noexcept;

  const std::shared_ptr<WorkerLaneSettings> settings_;
  std::unique_ptr<worker::WorkerProcess> process_;
};

}  // namespace fourge
