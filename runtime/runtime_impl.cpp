#include "runtime/runtime_impl.hpp"

#include "runtime/pending_state.hpp"
#include "runtime/stopping.hpp"
#include "runtime/worker/worker_command.hpp"
#include "runtime/worker_lane.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <utility>

namespace fourge {
namespace {

// Together with what else the destructor does, less than a second.
constexpr std::chrono::milliseconds kTaskPatience{600};
constexpr std::chrono::milliseconds kLoadPatience{200};
// NVRTC's front end compiles one thing at a time in a process; more threads would only wait.
constexpr std::size_t kLanesInProcess = 2;
constexpr std::size_t kMostLanes = 8;
// A variant that did not come is not tried again at every call.
constexpr std::chrono::seconds kLeastPause{10};

[[noreturn]] void refuse_frozen(const KernelSpec& spec, std::string_view why) {
  throw Error(
      ErrorKind::frozen,
      fmt::format("{} was not prepared before freezing{}. Add it to the manifest, or prepare "
                  "it in the background with prepare_async()",
                  spec.text(), why));
}

std::size_t lanes_for(const Options& options) {
  return options.worker_program.empty()
             ? kLanesInProcess
             : std::clamp<std::size_t>(worker::default_workers(options), 1, kMostLanes);
}

std::function<std::unique_ptr<BackgroundLane>()> lane_maker(const Options& options) {
  if (options.worker_program.empty()) {
    return [] { return std::make_unique<BackgroundLane>(); };
  }
  auto settings = std::make_shared<WorkerLaneSettings>(options, lanes_for(options));
  return [settings] { return std::make_unique<WorkerLane>(settings); };
}

// The wanted kernel of a stand-in, made and loaded for each context that it is used in.
void replace_stand_in(RuntimeState& state, const KernelSpec& spec, detail::StandIn& stand_in,
                      const std::stop_token& stop, CompileElsewhere* elsewhere) {
  const auto artifact = state.build(spec, stop, elsewhere);
  throw_if_stopped(stop, spec);
  const RuntimeState::Inside inside(state, spec);
  const auto driver = state.driver();
  const detail::KernelState* wanted = nullptr;
  while (const CUcontext context = stand_in.next_context(wanted)) {
    try {
      const BorrowedContext borrowed(*driver, context);
      detail::PreparedKernel& kernel = state.load(spec, *artifact);
      kernel.load_in_background();
      wanted = &kernel.state();
    } catch (const DriverError& error) {
      // A context that is gone needs nothing any more.
      state.log(LogLevel::debug, error.what());
    }
  }
  if (wanted == nullptr) {
    throw Error(ErrorKind::unsupported, spec.text() + ": no context to load it for is left");
  }
  ++state.counters.fallback_swaps;
}

}  // namespace

Runtime::Impl::Impl(Options given)
    : state(std::make_shared<RuntimeState>(std::move(given))),
      background(lanes_for(state->options), lane_maker(state->options)) {}

Runtime::Impl::~Impl() {
  background.shut_down(kTaskPatience);
  state->close(kLoadPatience);
}

PendingArtifact Runtime::Impl::build_async(const KernelSpec& spec, Asked asked) {
  auto pending = std::make_shared<detail::PendingState<std::shared_ptr<const Artifact>>>();
  auto run = [state = state, pending, spec, asked](const std::stop_token& stop,
                                                   BackgroundLane& lane) {
    try {
      throw_if_stopped(stop, spec);
      auto artifact = state->build(spec, stop, lane.elsewhere());
      if (asked == Asked::by_caller) {
        state->was_asked_for(spec);
      }
      pending->finish(std::move(artifact));
    } catch (...) {
      const StoredError error = StoredError::of_current();
      state->counters.cancelled += error.kind() == ErrorKind::cancelled ? 1U : 0U;
      pending->fail(error);
    }
  };
  background.submit({pending->stop(), std::move(run)});
  return PendingArtifact(pending);
}

void Runtime::Impl::frozen_miss(const KernelSpec& spec) {
  const auto policy = serving.frozen();
  if (!policy) {
    return;
  }
  ++state->counters.frozen_misses;
  if (*policy == FreezePolicy::refuse) {
    refuse_frozen(spec, {});
  }
  state->log(LogLevel::warn,
             fmt::format("{} was not prepared before freezing and is compiled now", spec.text()));
}

std::optional<Kernel> Runtime::Impl::frozen_prepare(const KernelSpec& spec,
                                                    std::optional<CUstream> stream) {
  if (serving.frozen() != FreezePolicy::fallback) {
    frozen_miss(spec);
    return std::nullopt;
  }
  ++state->counters.frozen_misses;
  return stand_in_for(spec, stream);
}

std::optional<Kernel> Runtime::Impl::stand_in_for(const KernelSpec& spec,
                                                  std::optional<CUstream> stream) {
  const auto* known = state->stand_ins->find(spec);
  if (known == nullptr) {
    const auto fallback = serving.fallback_of(spec);
    const auto* general = fallback ? state->kernels->find(*fallback) : nullptr;
    if (general == nullptr) {
      refuse_frozen(
          spec, fallback && !(*fallback == spec)
                    ? fmt::format(", and its fallback variant {} is not loaded", fallback->text())
                    : std::string(", and it has no fallback variant"));
    }
    known = &state->stand_ins->get_or_make(spec, [&] {
      ++state->stand_ins_made;
      return std::make_unique<detail::StandIn>(spec, **general);
    });
    state->log(LogLevel::warn,
               fmt::format("{} was not prepared before freezing: {} stands in for it while it is "
                           "compiled in the background",
                           spec.text(), fallback->text()));
  }
  detail::StandIn& stand_in = **known;
  stand_in.general().load_for_current_context(stream);
  if (stand_in.attend(std::max(state->options.failure_memory, kLeastPause))) {
    make_wanted(spec, stand_in);
  }
  if (stand_in.replaced()) {
    // Since the caller looked for it.
    if (const auto* wanted = state->kernels->find(spec)) {
      (*wanted)->load_for_current_context(stream);
    }
  }
  return Kernel(stand_in.state());
}

void Runtime::Impl::make_wanted(const KernelSpec& spec, detail::StandIn& stand_in) {
  // The stand-in is there until close(), after which no task may look at it.
  background.submit(
      {{}, [state = state, spec, &stand_in](const std::stop_token& stop, BackgroundLane& lane) {
         try {
           throw_if_stopped(stop, spec);
           replace_stand_in(*state, spec, stand_in, stop, lane.elsewhere());
         } catch (...) {
           const StoredError error = StoredError::of_current();
           if (stop.stop_requested() || error.kind() == ErrorKind::cancelled) {
             return;
           }
           state->log(LogLevel::error,
                      fmt::format("{}: its fallback variant goes on standing in for it: {}",
                                  spec.text(), error.message()));
           try {
             const RuntimeState::Inside inside(*state, spec);
             stand_in.failed();
           } catch (const Error&) {
             return;  // closed meanwhile
           }
         }
       }});
}

}  // namespace fourge
