#include "runtime/worker/worker_pool.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include "runtime/worker/worker_process.hpp"

namespace fourge::worker {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kStopLook{100};

class Pool {
 public:
  Pool(const std::vector<KernelSpec>& specs, const PoolOptions& options,
       const std::function<void(const BuildResult&)>& report)
      : specs_(specs), options_(options), report_(report) {}

  void run() {
    const std::size_t count = std::max<std::size_t>(1, std::min(options_.workers, specs_.size()));
    workers_.resize(count);
    while (done_ < next_ || (next_ < specs_.size() && !stopped())) {
      hand_out_work();
      wait_for_answers();
      kill_bad_workers();
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
      if (next_ == specs_.size() || stopped()) {
        return;
      }
      if (!worker) {
        worker = std::make_unique<WorkerProcess>(options_.worker);
      }
      if (worker->spec() == nullptr) {
        worker->hand_out(specs_[next_++]);
      }
    }
  }

  void wait_for_answers() {
    std::vector<pollfd> polled;
    std::vector<std::unique_ptr<WorkerProcess>*> owners;
    auto nearest = Clock::time_point::max();
    for (auto& worker : workers_) {
      if (worker && worker->spec() != nullptr) {
        polled.push_back({worker->output(), POLLIN, 0});
        owners.push_back(&worker);
        nearest = std::min(nearest, worker->deadline());
      }
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(nearest - Clock::now()).count();
    const std::int64_t longest = options_.stop                       ? kStopLook.count()
                                 : options_.worker.memory_bytes == 0 ? 3'600'000
                                                                     : kMemoryLook.count();
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

  void take_answer(std::unique_ptr<WorkerProcess>& worker) {
    WorkerAnswer answer;
    switch (worker->read(answer)) {
      case WorkerProcess::State::waiting:
        return;
      case WorkerProcess::State::answered: {
        // What could not allocate may be in any state.
        const bool broken = answer.error_kind == kOutOfMemory;
        finish(*worker, std::move(answer));
        if (broken) {
          worker->kill_and_wait();
          worker.reset();
        }
        return;
      }
      case WorkerProcess::State::ended:
        if (ended_by_stop()) {
          worker->take_end();
          ++done_;
        } else {
          finish(*worker, worker->take_end());
        }
        worker.reset();
        return;
    }
  }

  void kill_bad_workers() {
    for (auto& worker : workers_) {
      if (!worker || worker->spec() == nullptr) {
        continue;
      }
      if (auto answer = worker->kill_if_bad()) {
        finish(*worker, std::move(*answer));
        worker.reset();
      }
    }
  }

  bool stopped() const { return options_.stop && options_.stop(); }

  // The signal that a worker died of may be on its way to this process.
  bool ended_by_stop() const {
    if (options_.stop && !options_.stop()) {
      std::this_thread::sleep_for(kStopLook);
    }
    return stopped();
  }

  void finish(WorkerProcess& worker, WorkerAnswer answer) {
    const BuildResult result{worker.spec(), std::move(answer)};
    worker.finish_spec();
    ++done_;
    report_(result);
  }

  const std::vector<KernelSpec>& specs_;
  const PoolOptions& options_;
  const std::function<void(const BuildResult&)>& report_;
  std::vector<std::unique_ptr<WorkerProcess>> workers_;
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

}  // namespace fourge::worker
