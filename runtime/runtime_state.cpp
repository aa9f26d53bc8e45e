#include "runtime/runtime_state.hpp"

#include "runtime/driver/capture.hpp"
#include "runtime/driver/kernel_state.hpp"
#include "runtime/stopping.hpp"

#include <algorithm>
#include <utility>

namespace fourge {
namespace {

// What is added to a time must not overflow.
template <class Duration>
void limit(Duration& time) {
  time = std::clamp(time, Duration::zero(), Duration(Options::kMostTime));
}

Options checked(Options options, const std::shared_ptr<LogGate>& gate) {
  options.log = LogGate::guard(gate, std::move(options.log));
  limit(options.compile_wait);
  limit(options.stuck_after);
  limit(options.failure_memory);
  limit(options.worker_deadline);
  options.compile_slots = std::min(options.compile_slots, Options::kMostCompileSlots);
  return options;
}

}  // namespace

RuntimeState::RuntimeState(Options given)
    : options(checked(std::move(given), log_gate)),
      builder(options, counters),
      nvtx(options.nvtx),
      tuned(options.cache_directory, builder.trust(), options.ops) {
  if (options.history && !options.cache_directory.empty()) {
    history.emplace(options.cache_directory, cache::posix_file_system(), builder.trust());
  }
}

std::shared_ptr<const Driver> RuntimeState::driver() {
  const std::lock_guard lock(driver_mutex);
  if (!loaded_driver) {
    loaded_driver = Driver::load(options.driver_library);
  }
  return loaded_driver;
}

host::HostExecutor& RuntimeState::host_executor() {
  const std::lock_guard lock(host_mutex);
  if (!executor) {
    host::HostOptions wanted;
    wanted.compiler = options.host_compiler;
    wanted.cache_directory = options.cache_directory;
    wanted.trust = builder.trust();
    wanted.log = options.log;
    executor = std::make_unique<host::HostExecutor>(std::move(wanted));
  }
  return *executor;
}

std::shared_ptr<const Artifact> RuntimeState::build(const KernelSpec& spec,
                                                    const std::stop_token& stop,
                                                    CompileElsewhere* elsewhere) {
  if (const auto* known = artifacts.find(spec)) {
    counters.memory_hits.add();
    return *known;
  }
  bool waited = false;
  const auto& artifact = artifacts.get_or_make(
      spec, [&] { return std::make_shared<const Artifact>(builder.build(spec, stop, elsewhere)); },
      &waited, stop);
  if (waited) {
    ++counters.waits;
  }
  return artifact;
}

Kernel RuntimeState::prepare(const KernelSpec& spec, std::optional<CUstream> stream) {
  const auto driver_now = driver();
  // Before anything is compiled: a thread without a context could not use the kernel anyway, and one
  // that captures a stream must not load it.
  detail::current_device(*driver_now, spec.text());
  detail::refuse_in_capture(*driver_now, stream, spec.text());
  detail::PreparedKernel& kernel = load(spec, *build(spec));
  kernel.load_for_current_context(stream);
  return Kernel(kernel.state());
}

std::vector<HostKernel> RuntimeState::prepare_host(std::span<const KernelSpec> specs) {
  std::vector<host::HostSource> sources;
  for (const KernelSpec& spec : specs) {
    sources.push_back({spec, spec.entry_name(), generate_source(spec, options.ops)});
  }
  std::vector<HostKernel> prepared;
  for (const detail::HostKernelState* state : host_executor().prepare(sources)) {
    prepared.emplace_back(*state);
  }
  for (const KernelSpec& spec : specs) {
    host_prepared.get_or_make(spec, [] { return true; });
  }
  return prepared;
}

detail::PreparedKernel& RuntimeState::load(const KernelSpec& spec, const Artifact& artifact) {
  const auto driver_now = driver();
  return *kernels->get_or_make(spec, [&] {
    const NvtxRanges::Range range(nvtx, "load", spec.text());
    auto prepared = std::make_unique<detail::PreparedKernel>(
        detail::load_kernel(driver_now, spec, artifact.entry_name, artifact.cubin));
    ++counters.loads;
    return prepared;
  });
}

Kernel RuntimeState::prepare_in(const KernelSpec& spec, CUcontext context,
                                const std::stop_token& stop, CompileElsewhere* elsewhere) {
  const auto artifact = build(spec, stop, elsewhere);
  throw_if_stopped(stop, spec);
  const Inside inside(*this, spec);
  const auto driver_now = driver();
  const BorrowedContext borrowed(*driver_now, context);
  detail::PreparedKernel& kernel = load(spec, *artifact);
  kernel.load_in_background();
  return Kernel(kernel.state());
}

void RuntimeState::was_asked_for(const KernelSpec& spec) {
  if (history && asked_for.find(spec) == nullptr) {
    asked_for.get_or_make(spec, [&] {
      history->append(spec.text());
      return true;
    });
  }
}

KernelSpec RuntimeState::best_variant(const KernelSpec& spec, const CallShape& shape,
                                      std::string_view device_name, int multiprocessors) {
  return tuned.choose(spec, shape, device_name, multiprocessors,
                      [this](std::string_view text) { log(LogLevel::warn, text); });
}

void RuntimeState::log(LogLevel level, std::string_view text) const {
  if (options.log) {
    options.log(level, text);
  }
}

void RuntimeState::close(std::chrono::milliseconds patience) noexcept {
  std::unique_lock lock(gate_mutex_);
  closed_ = true;
  const bool empty = left_.wait_for(lock, patience, [this] { return inside_ == 0; });
  lock.unlock();
  if (empty) {
    stand_ins.reset();
    kernels.reset();
  }
  {
    const std::lock_guard host_lock(host_mutex);
    executor.reset();
  }
  log_gate->close();
}

RuntimeState::Inside::Inside(RuntimeState& state, const KernelSpec& spec) : state_(state) {
  const std::lock_guard lock(state_.gate_mutex_);
  if (state_.closed_) {
    throw Error(ErrorKind::cancelled, spec.text() + ": its Runtime was destroyed");
  }
  ++state_.inside_;
}

RuntimeState::Inside::~Inside() {
  const std::lock_guard lock(state_.gate_mutex_);
  --state_.inside_;
  state_.left_.notify_all();
}

BorrowedContext::BorrowedContext(const Driver& driver, CUcontext context) : driver_(driver) {
  driver_.check(driver_.cuCtxPushCurrent(context), "cuCtxPushCurrent",
                "a kernel is prepared in the background; its context must live until then");
}

BorrowedContext::~BorrowedContext() {
  CUcontext popped = nullptr;
  driver_.cuCtxPopCurrent(&popped);
}

}  // namespace fourge
