// What Runtime::prepare_async() and build_async() give: a result that comes later.
//
// Thread-safe, and cheap to copy; copies stand for one request. A request that nobody wants any more is
// cancelled by cancel() only: dropping every copy lets it go on.
#pragma once

#include <fourge/export.hpp>
#include <fourge/kernel.hpp>

#include <chrono>
#include <memory>

namespace fourge {

struct FOURGE_API Artifact;

namespace detail {
template <class T>
class PendingState;
}  // namespace detail

template <class T>
class FOURGE_API Pending {
 public:
  // Of no request: only valid() and what makes a copy may be called.
  Pending() noexcept = default;
  explicit Pending(std::shared_ptr<detail::PendingState<T>> state) noexcept
      : state_(std::move(state)) {}

  bool valid() const noexcept { return state_ != nullptr; }
  // The result is there: a value, or an error.
  bool ready() const noexcept;
  void wait() const;
  // False if it is not there after that time.
  bool wait_for(std::chrono::nanoseconds time) const;
  // Waits. Throws what prepare() or build() throws for the spec, or Error(cancelled) if the request was
  // cancelled or the Runtime destroyed before the result was there. May be called many times.
  T get() const;

  // Asks for the end of the work; returns at once. A request that waits its turn is dropped, a worker
  // process that compiles for it is killed, a compile in this process ends at the compiler's next
  // look. What is done already stays done. Other requests for the same spec go on.
  void cancel() const noexcept;

 private:
  std::shared_ptr<detail::PendingState<T>> state_;
};

// A Kernel is valid as long as the Runtime. Forgotten requests do no harm.
using PendingKernel = Pending<Kernel>;
using PendingArtifact = Pending<std::shared_ptr<const Artifact>>;

extern template class Pending<Kernel>;
extern template class Pending<std::shared_ptr<const Artifact>>;

}  // namespace fourge
