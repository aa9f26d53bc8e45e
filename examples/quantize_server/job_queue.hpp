// A bounded queue of jobs and the threads that do them.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "examples/quantize_server/backend.hpp"

namespace quantize_server {

class JobQueue {
 public:
  using Job = std::function<void(Quantizer&)>;

  // At most `capacity` jobs wait; those that a worker has begun do not count.
  explicit JobQueue(std::size_t capacity) : capacity_(capacity) {}
  ~JobQueue() { close(); }
  JobQueue(const JobQueue&) = delete;
  JobQueue& operator=(const JobQueue&) = delete;

  // Each worker makes its Quantizer, then takes jobs. Throws what making one throws.
  void start(std::size_t workers, Backend& backend);

  // False if the queue is full or closed; then the job is not taken. Jobs must not throw.
  bool push(Job job);
  std::size_t depth() const;
  std::size_t capacity() const noexcept { return capacity_; }

  // Takes no more jobs, does those that wait, ends the workers.
  void close();

 private:
  void work(Quantizer& quantizer);

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool closed_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace quantize_server
