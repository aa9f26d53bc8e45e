#include <fourge/pending.hpp>

#include <fourge/runtime.hpp>

#include "runtime/pending_state.hpp"

#include <algorithm>

namespace fourge {
namespace {

// Longer waits would overflow the clock.
constexpr std::chrono::nanoseconds kLongestWait = std::chrono::hours(24 * 365);

}  // namespace

template <class T>
bool Pending<T>::ready() const noexcept {
  return state_->ready();
}

template <class T>
void Pending<T>::wait() const {
  state_->wait_for(std::nullopt);
}

template <class T>
bool Pending<T>::wait_for(std::chrono::nanoseconds time) const {
  return state_->wait_for(std::min(time, kLongestWait));
}

template <class T>
T Pending<T>::get() const {
  wait();
  return state_->get();
}

template <class T>
void Pending<T>::cancel() const noexcept {
  state_->stop().request_stop();
}

template class Pending<Kernel>;
template class Pending<std::shared_ptr<const Artifact>>;

}  // namespace fourge
