#include "runtime/host/cluster.hpp"

#include <utility>

namespace fourge::host {

void Cluster::release() {
  arrived_ = 0;
  ++barriers_;
  changed_.notify_all();
}

void Cluster::arrive() {
  std::unique_lock lock(mutex_);
  const std::uint64_t before = barriers_;
  if (++arrived_ == present_) {
    release();
  }
  changed_.wait(lock, [&] { return barriers_ != before || failed_; });
  if (failed_) {
    throw ClusterFailed{};
  }
}

void Cluster::leave(bool failed) noexcept {
  const std::lock_guard lock(mutex_);
  failed_ = failed_ || failed;
  --present_;
  if (failed_) {
    changed_.notify_all();
  } else if (arrived_ != 0 && arrived_ == present_) {
    release();
  }
}

bool Cluster::store(unsigned rank, const Store& store) {
  const std::lock_guard lock(mutex_);
  if (barriers_ == 0 || present_ != size()) {
    return false;
  }
  inbox_[rank].push_back(store);
  return true;
}

std::vector<Cluster::Store> Cluster::take(unsigned rank) {
  const std::lock_guard lock(mutex_);
  return std::exchange(inbox_[rank], {});
}

}  // namespace fourge::host
