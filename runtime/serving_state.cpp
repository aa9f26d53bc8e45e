#include "runtime/serving_state.hpp"

#include <algorithm>

namespace fourge {

const char* to_string(FreezePolicy policy) noexcept {
  switch (policy) {
    case FreezePolicy::refuse:
      return "refuse";
    case FreezePolicy::warn_and_compile:
      return "warn_and_compile";
    case FreezePolicy::fallback:
      return "fallback";
  }
  return "unknown";
}

void ServingState::set_fallback(const KernelSpec& spec, const std::optional<KernelSpec>& fallback) {
  const std::lock_guard lock(mutex_);
  const auto known = std::find_if(fallbacks_.begin(), fallbacks_.end(),
                                  [&](const Fallback& other) { return other.spec == spec; });
  if (known == fallbacks_.end()) {
    fallbacks_.push_back({spec, fallback});
  } else {
    known->fallback = fallback;
  }
}

std::optional<KernelSpec> ServingState::fallback_of(const KernelSpec& spec) const {
  const std::lock_guard lock(mutex_);
  const auto known = std::find_if(fallbacks_.begin(), fallbacks_.end(),
                                  [&](const Fallback& other) { return other.spec == spec; });
  return known == fallbacks_.end() ? spec.fallback() : known->fallback;
}

void ServingState::begin(std::size_t total) noexcept {
  ready_ = false;
  done_ = 0;
  failed_ = 0;
  total_ = total;
  preparing_ = true;
}

void ServingState::step(bool failed) noexcept {
  failed_ += failed ? 1U : 0U;
  ++done_;
}

void ServingState::end(bool ready) noexcept {
  ready_ = ready;
  preparing_ = false;
}

ServingStatus ServingState::status() const noexcept {
  ServingStatus status;
  status.preparing = preparing_;
  status.ready = ready_;
  if (const auto policy = frozen()) {
    status.frozen = true;
    status.policy = *policy;
  }
  status.done = done_;
  status.failed = failed_;
  status.total = total_;
  return status;
}

}  // namespace fourge
