#include "runtime/worker/worker_process.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace fourge::worker {
namespace {

constexpr std::uint64_t kDataSlack = std::uint64_t{256} << 20U;

WorkerAnswer failed(const char* kind, std::string message) {
  WorkerAnswer answer;
  answer.error_kind = kind;
  answer.message = std::move(message);
  return answer;
}

}  // namespace

WorkerProcess::WorkerProcess(const WorkerSettings& settings)
    : settings_(settings), process_(settings.command, &settings.environment) {
  if (settings_.memory_bytes != 0) {
    // Allocations fail some way above the limit, so that one that grows faster than anybody looks does
    // no harm either.
    process_.limit_data(settings_.memory_bytes / 4 * 5 + kDataSlack);
  }
}

void WorkerProcess::hand_out(const KernelSpec& spec) {
  spec_ = &spec;
  deadline_ = Clock::now() + settings_.deadline;
  process_.write(spec.text() + "\n");
}

WorkerProcess::State WorkerProcess::read(WorkerAnswer& answer) {
  std::array<char, 65536> buffer{};
  const ssize_t got = ::read(process_.output(), buffer.data(), buffer.size());
  if (got < 0) {
    return errno == EINTR || errno == EAGAIN ? State::waiting : State::ended;
  }
  if (got == 0) {
    return State::ended;
  }
  received_.append(buffer.data(), static_cast<std::size_t>(got));
  const std::size_t end = received_.find('\n');
  if (end == std::string::npos) {
    return State::waiting;
  }
  const std::string line = received_.substr(0, end);
  received_.erase(0, end + 1);
  has_answered_ = true;
  answer = decode(line).value_or(failed(kNoAnswer, "a worker answered: " + line.substr(0, 200)));
  return State::answered;
}

WorkerAnswer WorkerProcess::take_end() {
  // Its output is closed, so it is dead or about to be.
  process_.close_input();
  const int status = process_.wait();
  left_unused_ = !has_answered_ && WIFEXITED(status);
  const std::string end = describe_status(status);
  if (settings_.memory_bytes != 0 && process_.peak_bytes() >= settings_.memory_bytes) {
    return too_large(process_.peak_bytes(), "it ended: " + end);
  }
  return failed(kWorkerDied, "the worker process ended: " + end);
}

WorkerAnswer WorkerProcess::too_large(std::uint64_t bytes, const std::string& end) const {
  constexpr std::uint64_t kMiB = 1U << 20U;
  return failed(kOutOfMemory,
                fmt::format("the worker process used {} MiB of memory, the limit is {} MiB; {}",
                            bytes / kMiB, settings_.memory_bytes / kMiB, end));
}

std::optional<WorkerAnswer> WorkerProcess::kill_if_bad() {
  if (deadline_ <= Clock::now()) {
    kill_and_wait();
    return failed("timeout",
                  fmt::format("not built within {} s; the worker process was killed",
                              std::chrono::duration<double>(settings_.deadline).count()));
  }
  const std::uint64_t bytes = settings_.memory_bytes == 0 ? 0 : process_.resident_bytes();
  if (bytes > settings_.memory_bytes) {
    kill_and_wait();
    return too_large(bytes, "it was killed");
  }
  return std::nullopt;
}

void WorkerProcess::kill_and_wait() {
  process_.kill();
  process_.wait();
}

void WorkerProcess::end(std::chrono::milliseconds patience) {
  process_.close_input();
  pollfd polled{process_.output(), POLLIN, 0};
  if (::poll(&polled, 1, static_cast<int>(patience.count())) <= 0) {
    process_.kill();
  }
  process_.wait();
}

int WorkerProcess::wait() {
  process_.close_input();
  return process_.wait();
}

}  // namespace fourge::worker
