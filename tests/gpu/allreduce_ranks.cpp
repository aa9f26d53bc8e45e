// Threads that are ranks, for the tests of all-reduce.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "tests/gpu/allreduce_support.hpp"

namespace fourge::tests {

void RankMeeting::arrive(std::unique_lock<std::mutex>& lock) {
  const std::uint64_t round = round_;
  if (++arrived_ == ranks_) {
    arrived_ = 0;
    ++round_;
    changed_.notify_all();
  }
  const bool met = changed_.wait_for(lock, std::chrono::seconds(120),
                                     [&] { return failed_ || round_ != round; });
  if (!met || (failed_ && round_ == round)) throw std::runtime_error("another rank failed");
}

void RankMeeting::wait() {
  std::unique_lock lock(mutex_);
  arrive(lock);
}

std::vector<std::byte> RankMeeting::gather(int rank, std::span<const std::byte> mine) {
  std::unique_lock lock(mutex_);
  bytes_[static_cast<std::size_t>(rank)].assign(mine.begin(), mine.end());
  arrive(lock);
  std::vector<std::byte> all;
  for (const auto& piece : bytes_) all.insert(all.end(), piece.begin(), piece.end());
  arrive(lock);  // nobody overwrites what others still read
  return all;
}

void RankMeeting::fail() {
  const std::lock_guard lock(mutex_);
  failed_ = true;
  changed_.notify_all();
}

void RankThread::settle() const {
  if (!shares_devices) return;
  stream.synchronize();
  meeting.wait();
}

comm::GroupConfig RankThread::config(std::int64_t max_rows, std::int64_t cols,
                                     const std::string& dtype) const {
  comm::GroupConfig config;
  config.rank = rank;
  config.ranks = ranks;
  config.max_rows = max_rows;
  config.one_shot_rows = max_rows;
  config.cols = cols;
  config.dtype = dtype;
  config.transport = comm::Transport::peers;
  // Of ranks on one device that do not run at once, several tests should say so in the time that there is.
  config.deadline = std::chrono::seconds(shares_devices ? 5 : 20);
  config.allow_shared_devices = shares_devices;
  config.all_gather = [this](std::span<const std::byte> mine) {
    return meeting.gather(rank, mine);
  };
  return config;
}

std::string run_ranks(Runtime& runtime, int ranks, const std::function<void(RankThread&)>& body) {
  RankMeeting meeting(ranks);
  const int devices = std::max(1, test_devices());
  std::vector<std::string> texts(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        const DeviceContext context(rank % devices);
        const Stream stream(context);
        RankThread self{rank, ranks, context, stream, meeting, runtime, ranks > devices};
        body(self);
      } catch (const std::exception& error) {
        texts[static_cast<std::size_t>(rank)] = fmt::format("rank {}: {}", rank, error.what());
        meeting.fail();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::string text;
  for (const std::string& one : texts) {
    if (!one.empty()) text += one + '\n';
  }
  return text;
}

int test_devices() { return static_cast<int>(list_devices().size()); }

int test_ranks() {
  const int devices = test_devices();
  const char* const wanted = std::getenv("FOURGE_TEST_RANKS");
  const int ranks = wanted == nullptr ? devices : std::max(1, std::atoi(wanted));
  return std::min({ranks, comm::kMostRanks, kMostOnOneDevice * devices});
}

bool ranks_share_devices() { return test_ranks() > test_devices(); }

Runtime& allreduce_runtime() {
  static Runtime runtime;
  return runtime;
}

unsigned test_threads() { return std::clamp(std::thread::hardware_concurrency(), 1U, 32U); }

}  // namespace fourge::tests
