#include <fourge/runtime.hpp>

#include "runtime/artifact_builder.hpp"
#include "runtime/counters.hpp"
#include "runtime/driver/capture.hpp"
#include "runtime/driver/driver.hpp"
#include "runtime/driver/kernel_state.hpp"
#include "runtime/host/host_executor.hpp"
#include "runtime/nvtx_ranges.hpp"
#include "runtime/prepared_kernel.hpp"
#include "runtime/spec_table.hpp"
#include "runtime/templates.hpp"

#include <mutex>
#include <optional>

namespace fourge {

struct Runtime::Impl {
  explicit Impl(Options given)
      : options(std::move(given)), builder(options, counters), nvtx(options.nvtx) {}

  std::shared_ptr<const Driver> driver();
  host::HostExecutor& host_executor();

  const Options options;
  Counters counters;
  ArtifactBuilder builder;
  SpecTable<std::shared_ptr<const Artifact>> artifacts;

  std::mutex driver_mutex;
  std::shared_ptr<const Driver> loaded_driver;
  SpecTable<std::unique_ptr<detail::PreparedKernel>> kernels;
  const NvtxRanges nvtx;

  std::mutex host_mutex;
  std::unique_ptr<host::HostExecutor> executor;
};

std::shared_ptr<const Driver> Runtime::Impl::driver() {
  const std::lock_guard lock(driver_mutex);
  if (!loaded_driver) {
    loaded_driver = Driver::load(options.driver_library);
  }
  return loaded_driver;
}

host::HostExecutor& Runtime::Impl::host_executor() {
  const std::lock_guard lock(host_mutex);
  if (!executor) {
    host::HostOptions wanted;
    wanted.compiler = options.host_compiler;
    wanted.cache_directory = options.cache_directory;
    wanted.log = options.log;
    executor = std::make_unique<host::HostExecutor>(std::move(wanted));
  }
  return *executor;
}

Runtime::Runtime(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Runtime::~Runtime() = default;

const Options& Runtime::options() const noexcept { return impl_->options; }

KernelSpec Runtime::parse(std::string_view text, std::optional<Target> fallback) const {
  return impl_->options.ops.parse(text, fallback);
}

std::shared_ptr<const Artifact> Runtime::build(const KernelSpec& spec) {
  if (const auto* known = impl_->artifacts.find(spec)) {
    impl_->counters.memory_hits.add();
    return *known;
  }
  bool waited = false;
  const auto& artifact = impl_->artifacts.get_or_make(
      spec, [&] { return std::make_shared<const Artifact>(impl_->builder.build(spec)); }, &waited);
  if (waited) {
    ++impl_->counters.waits;
  }
  return artifact;
}

Kernel Runtime::prepare(const KernelSpec& spec) { return prepare_for(spec, std::nullopt); }

Kernel Runtime::prepare(const KernelSpec& spec, CUstream_st* stream) {
  return prepare_for(spec, stream);
}

Kernel Runtime::prepare_for(const KernelSpec& spec, std::optional<CUstream_st*> stream) {
  if (const auto* known = impl_->kernels.find(spec)) {
    impl_->counters.memory_hits.add();
    (*known)->load_for_current_context(stream);
    return Kernel((*known)->state());
  }
  const auto driver = impl_->driver();
  // Before anything is compiled: a thread without a context could not use the kernel anyway, and one
  // that captures a stream must not load it.
  detail::current_device(*driver, spec.text());
  detail::refuse_in_capture(*driver, stream, spec.text());
  const auto artifact = build(spec);
  const auto& kernel = impl_->kernels.get_or_make(spec, [&] {
    const NvtxRanges::Range range(impl_->nvtx, "load", spec.text());
    auto prepared = std::make_unique<detail::PreparedKernel>(
        detail::load_kernel(driver, spec, artifact->entry_name, artifact->cubin));
    ++impl_->counters.loads;
    return prepared;
  });
  kernel->load_for_current_context(stream);
  return Kernel(kernel->state());
}

HostKernel Runtime::prepare_host(const KernelSpec& spec) {
  return prepare_host(std::span(&spec, 1)).front();
}

std::vector<HostKernel> Runtime::prepare_host(std::span<const KernelSpec> specs) {
  std::vector<host::HostSource> sources;
  for (const KernelSpec& spec : specs) {
    sources.push_back({spec, spec.entry_name(), generate_source(spec, impl_->options.ops)});
  }
  std::vector<HostKernel> kernels;
  for (const detail::HostKernelState* state : impl_->host_executor().prepare(sources)) {
    kernels.emplace_back(*state);
  }
  return kernels;
}

Target Runtime::device_target() const { return detail::device_target(*impl_->driver()); }

Stats Runtime::stats() const {
  Stats stats = impl_->counters.snapshot();
  const std::lock_guard lock(impl_->host_mutex);
  if (impl_->executor) {
    const host::HostCounters host = impl_->executor->counters();
    stats.memory_hits += host.memory_hits;
    stats.disk_hits += host.disk_hits;
    stats.heals += host.heals;
    stats.host_compiles += host.kernels_compiled;
  }
  return stats;
}

}  // namespace fourge
