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

constexpr std::chrono::milliseconds kMemoryLook{50};  // how often memory is looked at
constexpr std::uint64_t kDataSlack = std::uint64_t{256} << 20U;

WorkerAnswer failed(const char* kind, std::string message) {
  WorkerAnswer answer;
  answer.error_kind = kind;
  answer.message = std::move(message);
  return answer;
}

class Worker {
 public:
  explicit Worker(const PoolOptions& options) : process_(options.command) {
    if (options.memory_bytes != 0) {
      // Allocations fail some way above the limit, so that one that grows faster than the pool looks
      // does no harm either.
      process_.limit_data(options.memory_bytes / 4 * 5 + kDataSlack);
    }
  }

  const KernelSpec* spec() const { return spec_; }
  Clock::time_point deadline() const { return deadline_; }
  int output() const { return process_.output(); }
  std::uint64_t resident_bytes() const { return process_.resident_bytes(); }
  std::uint64_t peak_bytes() const { return process_.peak_bytes(); }

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
      kill_large_workers();
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
        worker = std::make_unique<Worker>(options_);
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
    const std::int64_t longest = options_.memory_bytes == 0 ? 3'600'000 : kMemoryLook.count();
    const auto timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, longest));
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
      case Worker::State::answered: {
        // What could not allocate may be in any state.
        const bool broken = answer.error_kind == kOutOfMemory;
        finish(*worker, std::move(answer));
        if (broken) {
          worker->kill_and_wait();
          worker.reset();
        }
        return;
      }
      case Worker::State::ended:
        finish(*worker, died(*worker));
        worker.reset();
        return;
    }
  }

  // Its output is closed, so it is dead or about to be.
  WorkerAnswer died(Worker& worker) const {
    const std::string end = describe_status(worker.wait());
    if (options_.memory_bytes != 0 && worker.peak_bytes() >= options_.memory_bytes) {
      return too_large(worker.peak_bytes(), "it ended: " + end);
    }
    return failed("worker_died", "the worker process ended: " + end);
  }

  WorkerAnswer too_large(std::uint64_t bytes, const std::string& end) const {
    constexpr std::uint64_t kMiB = 1U << 20U;
    return failed(kOutOfMemory,
                  fmt::format("the worker process used {} MiB of memory, the limit is {} MiB; {}",
                              bytes / kMiB, options_.memory_bytes / kMiB, end));
  }

  void kill_large_workers() {
    for (auto& worker : workers_) {
      if (options_.memory_bytes == 0 || !worker || worker->spec() == nullptr) {
        continue;
      }
      const std::uint64_t bytes = worker->resident_bytes();
      if (bytes > options_.memory_bytes) {
        worker->kill_and_wait();
        finish(*worker, too_large(bytes, "it was killed"));
        worker.reset();
      }
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
