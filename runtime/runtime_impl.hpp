// What a Runtime owns alone, beside the state that its background shares.
#pragma once

#include <fourge/runtime.hpp>

#include "runtime/background.hpp"
#include "runtime/runtime_state.hpp"
#include "runtime/serving_state.hpp"

#include <atomic>
#include <memory>
#include <optional>

namespace fourge {

struct Runtime::Impl {
  explicit Impl(Options given);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // prepare() of what is not loaded, in a frozen Runtime: the answer of the policy, or nothing if the
  // call shall go on as if it were not frozen.
  std::optional<Kernel> frozen_prepare(const KernelSpec& spec, std::optional<CUstream> stream);
  // The same for calls that have no fallback. Throws, or returns.
  void frozen_miss(const KernelSpec& spec);

  enum class Asked { by_caller, by_manifest };  // the history is of what callers asked for
  PendingArtifact build_async(const KernelSpec& spec, Asked asked);

  const std::shared_ptr<RuntimeState> state;
  ServingState serving;
  Background background;

 private:
  void make_wanted(const KernelSpec& spec, detail::StandIn& stand_in);
  std::optional<Kernel> stand_in_for(const KernelSpec& spec, std::optional<CUstream> stream);
};

}  // namespace fourge
