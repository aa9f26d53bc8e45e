#include "runtime/worker_lane.hpp"

#include "runtime/stopping.hpp"
#include "runtime/worker/worker_command.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <algorithm>
#include <array>
#include <utility>

namespace fourge {
namespace {

constexpr std::array<ErrorKind, 8> kKinds{ErrorKind::invalid_spec,
                                          ErrorKind::invalid_argument,
                                          ErrorKind::unsupported,
                                          ErrorKind::library_missing,
                                          ErrorKind::compile_failed,
                                          ErrorKind::driver,
                                          ErrorKind::io,
                                          ErrorKind::internal};

// What the worker said, or what became of it.
[[noreturn]] void raise(const KernelSpec& spec, const worker::WorkerAnswer& answer) {
  const auto* kind = std::find_if(kKinds.begin(), kKinds.end(), [&](ErrorKind known) {
    return answer.error_kind == to_string(known);
  });
  if (kind == kKinds.end()) {
    throw CompileError(fmt::format("{}: {}", spec.text(), answer.message), {}, {});
  }
  if (*kind == ErrorKind::compile_failed) {
    throw CompileError(answer.message, answer.log, answer.source_path);
  }
  throw Error(*kind, answer.message);
}

}  // namespace

WorkerLaneSettings::WorkerLaneSettings(const Options& given, std::size_t lanes)
    : options(given), worker(worker::worker_settings(options, lanes)) {}

WorkerLane::WorkerLane(std::shared_ptr<WorkerLaneSettings> settings)
    : settings_(std::move(settings)) {}

// A worker that comes to its own end writes down what it has counted.
WorkerLane::~WorkerLane() { let_go(std::chrono::milliseconds(200)); }

void WorkerLane::idle() noexcept { let_go(std::chrono::seconds(5)); }

void WorkerLane::let_go(std::chrono::milliseconds patience) noexcept {
  try {
    if (process_) {
      process_->end(patience);
    }
  } catch (const Error&) {
    // It is killed below.
  }
  process_.reset();
}

std::optional<Elsewhere> WorkerLane::compile(const BuildRequest& request,
                                             const std::stop_token& stop) {
  if (!settings_->options.ops.templates(request.spec.op()).empty()) {
    return std::nullopt;  // the command does not know it
  }
  throw_if_stopped(stop, request.spec);
  worker::WorkerAnswer answer;
  try {
    const bool waited = process_ != nullptr;
    answer = ask(request.spec, stop);
    // One that had nothing to do may have been killed since, by what is meant for the whole program.
    if (waited && !process_ && answer.error_kind == worker::kWorkerDied) {
      answer = ask(request.spec, stop);
    }
  } catch (const Error& error) {
    process_.reset();
    if (error.kind() != ErrorKind::io) {
      throw;
    }
    warn_once(error.what());
    return std::nullopt;
  }
  if (!answer.ok) {
    if (answer.error_kind == worker::kNoAnswer) {
      process_.reset();
      warn_once(answer.message);
      return std::nullopt;
    }
    raise(request.spec, answer);
  }
  if (answer.key != request.key.full.hex()) {
    process_.reset();
    warn_once("it is of another version of fourge, or found another NVRTC");
    return std::nullopt;
  }
  return Elsewhere{answer.origin, answer.kept, std::move(answer.cubin)};
}

worker::WorkerAnswer WorkerLane::ask(const KernelSpec& spec, const std::stop_token& stop) {
  if (!process_) {
    process_ = std::make_unique<worker::WorkerProcess>(settings_->worker);
  }
  process_->hand_out(spec);
  for (;;) {
    throw_if_stopped(stop, spec);
    pollfd polled{process_->output(), POLLIN, 0};
    if (::poll(&polled, 1, static_cast<int>(kStopLook.count())) > 0) {
      worker::WorkerAnswer answer;
      const auto state = process_->read(answer);
      if (state == worker::WorkerProcess::State::ended) {
        answer = process_->take_end();
        if (process_->left_unused() && answer.error_kind == worker::kWorkerDied) {
          answer.error_kind = worker::kNoAnswer;
        }
      }
      if (state != worker::WorkerProcess::State::waiting) {
        process_->finish_spec();
        // What could not allocate may be in any state.
        if (state == worker::WorkerProcess::State::ended ||
            answer.error_kind == worker::kOutOfMemory) {
          process_.reset();
        }
        return answer;
      }
    }
    if (auto answer = process_->kill_if_bad()) {
      process_.reset();
      return std::move(*answer);
    }
  }
}

void WorkerLane::warn_once(const std::string& why) {
  if (!settings_->warned.exchange(true) && settings_->options.log) {
    settings_->options.log(
        LogLevel::warn,
        fmt::format("the worker program {} is not used, compiles run in this process: {}",
                    settings_->options.worker_program, why));
  }
}

}  // namespace fourge
