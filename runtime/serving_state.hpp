// What Runtime knows of a server's states: the progress of prepare_all(), whether misses are allowed,
// and which spec stands in for which. Thread-safe.
#pragma once

#include <fourge/serving.hpp>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <vector>

namespace fourge {

class ServingState {
 public:
  void freeze(FreezePolicy policy) noexcept { frozen_ = static_cast<int>(policy); }
  void thaw() noexcept { frozen_ = kOpen; }
  std::optional<FreezePolicy> frozen() const noexcept {
    const int policy = frozen_;
    return policy == kOpen ? std::nullopt
                           : std::optional<FreezePolicy>(static_cast<FreezePolicy>(policy));
  }

  // What stands in for a spec; the last word counts. Nothing: it shall stand alone.
  void set_fallback(const KernelSpec& spec, const std::optional<KernelSpec>& fallback);
  // As set, else KernelSpec::fallback().
  std::optional<KernelSpec> fallback_of(const KernelSpec& spec) const;

  // Of prepare_all(); one at a time.
  std::mutex preparing;
  void begin(std::size_t total) noexcept;
  void step(bool failed) noexcept;
  void end(bool ready) noexcept;

  bool ready() const noexcept { return ready_; }
  // Without what is not known here.
  ServingStatus status() const noexcept;

 private:
  static constexpr int kOpen = -1;
  struct Fallback {
    KernelSpec spec;
    std::optional<KernelSpec> fallback;
  };

  std::atomic<int> frozen_{kOpen};
  std::atomic<bool> ready_{false};
  std::atomic<bool> preparing_{false};
  std::atomic<std::size_t> done_{0};
  std::atomic<std::size_t> failed_{0};
  std::atomic<std::size_t> total_{0};
  mutable std::mutex mutex_;  // of what follows
  std::vector<Fallback> fallbacks_;
};

}  // namespace fourge
