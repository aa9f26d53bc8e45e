#include "tools/worker_pool.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "tools/child_process.hpp"

namespace fourge::tools {
namespace {

using Clock = std::chrono::steady_clock;

WorkerAnswer failed(const char* kind, std::string message) {
  WorkerAnswer answer;
  answer.error_kind = kind;
  answer.message = std::move(message);
  return answer;
}

class Worker {
 public:
  explicit Worker(const std::vector<std::string>& command) : process_(command) {}

  const KernelSpec* spec() const { return spec_; }
  Clock::time_point deadline() const { return deadline_; }
  int output() const { return process_.output(); }

  // A worker that died meanwhile shows by the end of its output.
  void hand_out(const KernelSpec& spec, std::chrono::milliseconds limit) {
    spec_ = &spec;
    deadline_ = Clock::now() + limit;
    process_.write(spec.text() + "\n");
  }

  enum class State { waiting, answered, ended };

  // Reads what is there. answered: answer holds what it said.
  State read(WorkerAnswer& answer) {
    std::array<char, 4096> buffer{};
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
    answer = decode(line).value_or(failed("internal", "a worker answered: " + line));
    return State::answered;
  }

  void finish_spec() { spec_ = nullptr; }
  int kill_and_wait() {
    process_.kill();
    return process_.wait();
  }
  int wait() {
    process_.close_input();
    return process_.wait();
  }

 private:
  ChildProcess process_;
  const KernelSpec* spec_ = nullptr;
  Clock::time_point deadline_;
  std::string received_;
};

class Pool {
 public:
  Pool(const std::vector<KernelSpec>& specs, const PoolOptions& options,
       const std::function<void(const BuildResult&)>& report)
      : specs_(specs), options_(options), report_(report) {}

  void run() {
    const std::size_t count = std::max<std::size_t>(1, std::min(options_.workers, specs_.size()));
    workers_.resize(count);
    while (done_ < specs_.size()) {
      hand_out_work();
      wait_for_answers();
      kill_late_workers();
    }
    for (auto& worker : workers_) {
      if (worker) {
        worker->wait();
      }
    }
  }

 private:
  void hand_out_work() {
    for (auto& worker : workers_) {
      if (next_ == specs_.size()) {
        return;
      }
      if (!worker) {
        worker = std::make_unique<Worker>(options_.command);
      }
      if (worker->spec() == nullptr) {
        worker->hand_out(specs_[next_++], options_.deadline);
      }
    }
  }

  void wait_for_answers() {
    std::vector<pollfd> polled;
    std::vector<std::unique_ptr<Worker>*> owners;
    auto nearest = Clock::time_point::max();
    for (auto& worker : workers_) {
      if (worker && worker->spec() != nullptr) {
        polled.push_back({worker->output(), POLLIN, 0});
        owners.push_back(&worker);
        nearest = std::min(nearest, worker->deadline());
      }
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(nearest - Clock::now()).count();
    const auto timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
    if (::poll(polled.data(), polled.size(), timeout) < 0 && errno != EINTR) {
      throw Error(ErrorKind::io, fmt::format("poll failed: {}", std::strerror(errno)));
    }
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if ((polled[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        take_answer(*owners[i]);
      }
    }
  }

  void take_answer(std::unique_ptr<Worker>& worker) {
    WorkerAnswer answer;
    switch (worker->read(answer)) {
      case Worker::State::waiting:
        return;
      case Worker::State::answered:
        finish(*worker, std::move(answer));
        return;
      case Worker::State::ended:
        // Its output is closed, so it is dead or about to be.
        const std::string end = describe_status(worker->wait());
        finish(*worker, failed("worker_died", "the worker process ended: " + end));
        worker.reset();
        return;
    }
  }

  void kill_late_workers() {
    const auto now = Clock::now();
    for (auto& worker : workers_) {
      if (worker && worker->spec() != nullptr && worker->deadline() <= now) {
        worker->kill_and_wait();
        const auto seconds = std::chrono::duration<double>(options_.deadline).count();
        finish(*worker,
               failed("timeout", fmt::format("not built within {} s; the worker process was killed",
                                             seconds)));
        worker.reset();
      }
    }
  }

  void finish(Worker& worker, WorkerAnswer answer) {
    const BuildResult result{worker.spec(), std::move(answer)};
    worker.finish_spec();
    ++done_;
    report_(result);
  }

  const std::vector<KernelSpec>& specs_;
  const PoolOptions& options_;
  const std::function<void(const BuildResult&)>& report_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::size_t next_ = 0;
  std::size_t done_ = 0;
};

}  // namespace

void build_in_workers(const std::vector<KernelSpec>& specs, const PoolOptions& options,
                      const std::function<void(const BuildResult&)>& report) {
  if (!specs.empty()) {
    Pool(specs, options, report).run();
  }
}

}  // namespace fourge::tools
