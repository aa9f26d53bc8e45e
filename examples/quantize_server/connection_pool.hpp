// Threads for connections, as httplib wants them, but with a bound: when all are busy and as many
// connections wait as there are threads, no more are accepted until one is done (the kernel's backlog
// holds those that knock).
#pragma once

#include <httplib.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace quantize_server {

class ConnectionPool : public httplib::TaskQueue {
 public:
  explicit ConnectionPool(std::size_t threads);

  void enqueue(std::function<void()> connection) override;
  void shutdown() override;

 private:
  void serve();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace quantize_server
