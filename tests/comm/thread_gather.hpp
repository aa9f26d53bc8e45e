// An all-gather of threads, as an embedder might have one.
#pragma once

#include <fourge/error.hpp>
#include <fourge/rendezvous.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <vector>

namespace fourge::tests {

class ThreadGather {
 public:
  explicit ThreadGather(int ranks) : slots_(static_cast<std::size_t>(ranks)) {}

  comm::AllGather of_rank(int rank) {
    return [this, rank](std::span<const std::byte> mine) {
      return gather(static_cast<std::size_t>(rank), mine);
    };
  }

 private:
  std::vector<std::byte> gather(std::size_t rank, std::span<const std::byte> mine) {
    std::unique_lock lock(mutex_);
    const std::size_t round = round_;
    slots_[rank].assign(mine.begin(), mine.end());
    if (++arrived_ == slots_.size()) {
      all_.clear();
      for (const auto& slot : slots_) all_.insert(all_.end(), slot.begin(), slot.end());
      arrived_ = 0;
      ++round_;
      changed_.notify_all();
    } else if (!changed_.wait_for(lock, std::chrono::seconds(20),
                                  [&] { return round_ != round; })) {
      throw Error(ErrorKind::peer, "a thread did not come to the all-gather");
    }
    return all_;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::vector<std::byte>> slots_;
  std::vector<std::byte> all_;
  std::size_t arrived_ = 0;
  std::size_t round_ = 0;
};

}  // namespace fourge::tests
