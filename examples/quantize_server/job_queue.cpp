#include "examples/quantize_server/job_queue.hpp"

#include <future>

namespace quantize_server {

void JobQueue::start(std::size_t workers, Backend& backend) {
  for (std::size_t i = 0; i < workers; ++i) {
    std::promise<void> made;
    std::future<void> ready = made.get_future();
    workers_.emplace_back([this, &backend, made = std::move(made)]() mutable {
      std::unique_ptr<Quantizer> quantizer;
      try {
        quantizer = backend.make_quantizer();
      } catch (...) {
        made.set_exception(std::current_exception());
        return;
      }
      made.set_value();
      work(*quantizer);
    });
    ready.get();
  }
}

void JobQueue::work(Quantizer& quantizer) {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job(quantizer);
  }
}

bool JobQueue::push(Job job) {
  const std::lock_guard lock(mutex_);
  if (closed_ || jobs_.size() >= capacity_) return false;
  jobs_.push_back(std::move(job));
  changed_.notify_one();
  return true;
}

std::size_t JobQueue::depth() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

void JobQueue::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

}  // namespace quantize_server
