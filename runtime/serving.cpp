// Runtime: the states of a server.
#include "runtime/driver/kernel_state.hpp"
#include "runtime/runtime_impl.hpp"
#include "runtime/stopping.hpp"
#include "runtime/stored_error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

namespace fourge {
namespace {

// The target of the manifest that serves the device best: its own, else one that runs on it.
Target choose_target(const Manifest& manifest, Target device) {
  const std::vector<Target> named = manifest.targets();
  if (named.empty() || std::find(named.begin(), named.end(), device) != named.end()) {
    return device;
  }
  for (auto target = named.rbegin(); target != named.rend(); ++target) {
    if (target->runs_on(device.major(), device.minor())) {
      return *target;
    }
  }
  return device;
}

std::vector<ManifestKernel> kernels_to_prepare(const Manifest& manifest, Preparation where,
                                               const Runtime& runtime) {
  if (where == Preparation::device) {
    const Target device = runtime.device_target();
    auto kernels = manifest.kernels(choose_target(manifest, device));
    if (kernels.empty() && manifest.size() != 0) {
      std::vector<std::string> named;
      for (const Target target : manifest.targets()) {
        named.push_back(target.text());
      }
      throw Error(ErrorKind::invalid_spec,
                  fmt::format("the manifest has nothing for this device ({}); its targets are {}",
                              device.text(), fmt::join(named, ", ")));
    }
    return kernels;
  }
  if (manifest.needs_target() && manifest.targets().empty() && where == Preparation::host) {
    return manifest.kernels(Target::parse("sm_90a"));
  }
  return manifest.kernels();
}

// The fallback variants first: with them a server can do something.
std::vector<KernelSpec> in_order(const std::vector<ManifestKernel>& kernels) {
  std::vector<KernelSpec> specs;
  const auto add = [&specs](const KernelSpec& spec) {
    if (std::find(specs.begin(), specs.end(), spec) == specs.end()) {
      specs.push_back(spec);
    }
  };
  for (const ManifestKernel& kernel : kernels) {
    if (kernel.fallback) {
      add(*kernel.fallback);
    }
  }
  for (const ManifestKernel& kernel : kernels) {
    add(kernel.spec);
  }
  return specs;
}

class Preparer {
 public:
  using BuildAsync = std::function<PendingArtifact(const KernelSpec&)>;

  Preparer(RuntimeState& state, ServingState& serving, BuildAsync build_async,
           const PrepareAllOptions& options)
      : state_(state), serving_(serving), build_async_(std::move(build_async)), options_(options) {}
  // What was asked for and not waited for is not wanted any more.
  ~Preparer() {
    for (const PendingArtifact& pending : pending_) {
      pending.cancel();
    }
  }
  Preparer(const Preparer&) = delete;
  Preparer& operator=(const Preparer&) = delete;

  PrepareReport run(const std::vector<KernelSpec>& specs) {
    progress_.total = specs.size();
    serving_.begin(specs.size());
    Finish finish{serving_};
    if (options_.where == Preparation::host) {
      prepare_host(specs);
    } else {
      prepare(specs);
    }
    finish.ready = report_.ok();
    return std::move(report_);
  }

 private:
  // Also when a progress callback or a stop ends it.
  struct Finish {
    ServingState& serving;
    bool ready = false;
    ~Finish() { serving.end(ready); }
  };

  void prepare(const std::vector<KernelSpec>& specs) {
    std::vector<bool> known;
    for (const KernelSpec& spec : specs) {
      known.push_back(state_.artifacts.find(spec) != nullptr);
      pending_.push_back(build_async_(spec));
    }
    for (std::size_t i = 0; i < specs.size(); ++i) {
      wait_for(pending_[i], specs[i]);
      try {
        const auto artifact = pending_[i].get();
        if (options_.where == Preparation::device) {
          state_.prepare(specs[i], std::nullopt);
        }
        report_.compiled += !known[i] && artifact->origin == Origin::compiled ? 1U : 0U;
        succeed(specs[i]);
      } catch (const Error&) {
        fail(specs[i], StoredError::of_current());
      }
    }
  }

  void wait_for(const PendingArtifact& pending, const KernelSpec& spec) {
    while (!pending.wait_for(options_.stop.stop_possible() ? kStopLook : std::chrono::hours(1))) {
      throw_if_stopped(options_.stop, spec);
    }
    throw_if_stopped(options_.stop, spec);
  }

  // One at a time only if all together do not compile: one run of the host compiler is quicker.
  void prepare_host(const std::vector<KernelSpec>& specs) {
    bool together = true;
    try {
      state_.prepare_host(specs);
    } catch (const Error&) {
      together = false;
    }
    for (const KernelSpec& spec : specs) {
      throw_if_stopped(options_.stop, spec);
      try {
        if (!together) {
          state_.prepare_host(std::span(&spec, 1));
        }
        succeed(spec);
      } catch (const Error&) {
        fail(spec, StoredError::of_current());
      }
    }
  }

  void succeed(const KernelSpec& spec) {
    ++report_.prepared;
    step(spec, nullptr);
  }
  void fail(const KernelSpec& spec, const StoredError& error) {
    report_.failures.push_back({spec, error.kind(), error.message()});
    step(spec, &error.message());
  }
  void step(const KernelSpec& spec, const std::string* error) {
    serving_.step(error != nullptr);
    ++progress_.done;
    progress_.failed = report_.failures.size();
    progress_.spec = &spec;
    progress_.error = error;
    if (options_.progress) {
      options_.progress(progress_);
    }
  }

  RuntimeState& state_;
  ServingState& serving_;
  const BuildAsync build_async_;
  const PrepareAllOptions& options_;
  PrepareReport report_;
  PrepareProgress progress_;
  std::vector<PendingArtifact> pending_;
};

}  // namespace

PrepareReport Runtime::prepare_all(const Manifest& manifest, const PrepareAllOptions& options) {
  const std::lock_guard one_at_a_time(impl_->serving.preparing);
  const auto kernels = kernels_to_prepare(manifest, options.where, *this);
  for (const ManifestKernel& kernel : kernels) {
    impl_->serving.set_fallback(kernel.spec, kernel.fallback);
  }
  const auto build = [this](const KernelSpec& spec) {
    return impl_->build_async(spec, Impl::Asked::by_manifest);
  };
  return Preparer(*impl_->state, impl_->serving, build, options).run(in_order(kernels));
}

bool Runtime::ready() const noexcept { return impl_->serving.ready(); }

void Runtime::freeze(FreezePolicy policy) { impl_->serving.freeze(policy); }

void Runtime::thaw() noexcept { impl_->serving.thaw(); }

ServingStatus Runtime::serving() const noexcept {
  ServingStatus status = impl_->serving.status();
  const RuntimeState& state = *impl_->state;
  status.pending = impl_->background.pending();
  status.frozen_misses = state.counters.frozen_misses;
  status.stand_ins = state.stand_ins_made - state.counters.fallback_swaps;
  return status;
}

}  // namespace fourge
