#include <fourge/device.hpp>
#include <fourge/runtime.hpp>

#include "runtime/driver/capture.hpp"
#include "runtime/driver/kernel_state.hpp"
#include "runtime/pending_state.hpp"
#include "runtime/runtime_impl.hpp"
#include "runtime/stopping.hpp"

#include <mutex>
#include <optional>

namespace fourge {

Runtime::Runtime(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Runtime::~Runtime() = default;

const Options& Runtime::options() const noexcept { return impl_->state->options; }

KernelSpec Runtime::parse(std::string_view text, std::optional<Target> fallback) const {
  return impl_->state->options.ops.parse(text, fallback);
}

std::shared_ptr<const Artifact> Runtime::build(const KernelSpec& spec) {
  if (impl_->state->artifacts.find(spec) == nullptr) {
    impl_->frozen_miss(spec);
  }
  auto artifact = impl_->state->build(spec);
  impl_->state->was_asked_for(spec);
  return artifact;
}

KernelSpec Runtime::best_variant(const KernelSpec& spec, const CallShape& shape) const {
  const detail::DeviceModel device =
      detail::current_device_model(*impl_->state->driver(), spec.text());
  return impl_->state->best_variant(spec, shape, device.name, device.multiprocessors);
}

KernelSpec Runtime::best_variant(const KernelSpec& spec, const CallShape& shape,
                                 const DeviceInfo& device) const {
  return impl_->state->best_variant(spec, shape, device.name, device.multiprocessors);
}

bool Runtime::is_cached(const KernelSpec& spec) {
  return impl_->state->artifacts.find(spec) != nullptr || impl_->state->builder.is_cached(spec);
}

Kernel Runtime::prepare(const KernelSpec& spec) { return prepare_for(spec, std::nullopt); }

Kernel Runtime::prepare(const KernelSpec& spec, CUstream_st* stream) {
  return prepare_for(spec, stream);
}

Kernel Runtime::prepare_for(const KernelSpec& spec, std::optional<CUstream_st*> stream) {
  RuntimeState& state = *impl_->state;
  if (const auto* known = state.kernels->find(spec)) {
    state.counters.memory_hits.add();
    (*known)->load_for_current_context(stream);
    state.was_asked_for(spec);
    return Kernel((*known)->state());
  }
  auto kernel = impl_->frozen_prepare(spec, stream);
  if (!kernel) {
    kernel = state.prepare(spec, stream);
  }
  state.was_asked_for(spec);
  return *kernel;
}

PendingArtifact Runtime::build_async(const KernelSpec& spec) {
  return impl_->build_async(spec, Impl::Asked::by_caller);
}

PendingKernel Runtime::prepare_async(const KernelSpec& spec) {
  const std::shared_ptr<RuntimeState>& state = impl_->state;
  const auto driver = state->driver();
  detail::current_device(*driver, spec.text());
  auto pending = std::make_shared<detail::PendingState<Kernel>>();
  const auto* known = state->kernels->find(spec);
  if (known != nullptr && (*known)->is_loaded_for_current_context()) {
    state->counters.memory_hits.add();
    state->was_asked_for(spec);
    pending->finish(Kernel((*known)->state()));
    return PendingKernel(pending);
  }
  CUcontext context = nullptr;
  driver->check(driver->cuCtxGetCurrent(&context), "cuCtxGetCurrent", spec.text());
  impl_->background.submit(
      {pending->stop(),
       [state, pending, spec, context](const std::stop_token& stop, BackgroundLane& lane) {
         try {
           throw_if_stopped(stop, spec);
           const Kernel kernel = state->prepare_in(spec, context, stop, lane.elsewhere());
           state->was_asked_for(spec);
           pending->finish(kernel);
         } catch (...) {
           const StoredError error = StoredError::of_current();
           state->counters.cancelled += error.kind() == ErrorKind::cancelled ? 1U : 0U;
           pending->fail(error);
         }
       }});
  return PendingKernel(pending);
}

HostKernel Runtime::prepare_host(const KernelSpec& spec) {
  return prepare_host(std::span(&spec, 1)).front();
}

std::vector<HostKernel> Runtime::prepare_host(std::span<const KernelSpec> specs) {
  for (const KernelSpec& spec : specs) {
    if (impl_->state->host_prepared.find(spec) == nullptr) {
      impl_->frozen_miss(spec);
    }
  }
  return impl_->state->prepare_host(specs);
}

Target Runtime::device_target() const { return detail::device_target(*impl_->state->driver()); }

Stats Runtime::stats() const {
  Stats stats = impl_->state->counters.snapshot();
  const std::lock_guard lock(impl_->state->host_mutex);
  if (impl_->state->executor) {
    const host::HostCounters host = impl_->state->executor->counters();
    stats.memory_hits += host.memory_hits;
    stats.disk_hits += host.disk_hits;
    stats.heals += host.heals;
    stats.host_compiles += host.kernels_compiled;
  }
  return stats;
}

}  // namespace fourge
