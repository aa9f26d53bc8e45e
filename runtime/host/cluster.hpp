// What the CTAs of a thread-block cluster share: a barrier and stores into each other's shared memory.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace fourge::host {

// Thrown where a CTA waits for one that has failed; the error is that one's.
struct ClusterFailed {};

// One cluster of one launch. Each CTA runs on an OS thread of its own; thread-safe.
class Cluster {
 public:
  struct Store {
    std::uint64_t offset;  // in the dynamic shared memory of the CTA that gets it
    std::uint32_t value;
  };

  explicit Cluster(unsigned size) : inbox_(size), present_(size) {}
  unsigned size() const noexcept { return static_cast<unsigned>(inbox_.size()); }

  // All CTAs that have not left call; returns when they have. Throws ClusterFailed.
  void arrive();
  // A CTA has run to its end, or failed.
  void leave(bool failed) noexcept;

  // A store into the memory of CTA `rank`. False before the first barrier, when that CTA need not have
  // begun, and when one has left.
  bool store(unsigned rank, const Store& store);
  // What was stored into the memory of CTA `rank` since the last call.
  std::vector<Store> take(unsigned rank);

 private:
  void release();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::vector<Store>> inbox_;
  unsigned present_;
  unsigned arrived_ = 0;
  std::uint64_t barriers_ = 0;
  bool failed_ = false;
};

}  // namespace fourge::host
