// What a Runtime has, and what threads that work in its background share with it: it lives until the last
// of them is done, but after close() nothing of it touches the driver, the log callback or the host's
// executed kernels.
#pragma once

#include <fourge/runtime.hpp>

#include "cache/history_log.hpp"
#include "runtime/artifact_builder.hpp"
#include "runtime/counters.hpp"
#include "runtime/driver/driver.hpp"
#include "runtime/host/host_executor.hpp"
#include "runtime/log_gate.hpp"
#include "runtime/nvtx_ranges.hpp"
#include "runtime/prepared_kernel.hpp"
#include "runtime/spec_table.hpp"
#include "runtime/stand_in.hpp"
#include "runtime/tuning/tuned_choice.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string_view>
#include <vector>

namespace fourge {

struct RuntimeState {
  using KernelTable = SpecTable<std::unique_ptr<detail::PreparedKernel>>;
  using StandInTable = SpecTable<std::unique_ptr<detail::StandIn>>;

  explicit RuntimeState(Options given);

  std::shared_ptr<const Driver> driver();
  host::HostExecutor& host_executor();

  // As Runtime's, whether it is frozen or not.
  std::shared_ptr<const Artifact> build(const KernelSpec& spec, const std::stop_token& stop = {},
                                        CompileElsewhere* elsewhere = nullptr);
  Kernel prepare(const KernelSpec& spec, std::optional<CUstream> stream);

  std::vector<HostKernel> prepare_host(std::span<const KernelSpec> specs);

  // For threads of the background; until close() only. build(), then load() for a context that is
  // made current here and was not before. Throws Error(cancelled) after close().
  // A handle: the table's own object may be gone as soon as this has returned.
  Kernel prepare_in(const KernelSpec& spec, CUcontext context, const std::stop_token& stop,
                    CompileElsewhere* elsewhere);
  // Into the current context; the artifact is the spec's.
  detail::PreparedKernel& load(const KernelSpec& spec, const Artifact& artifact);

  KernelSpec best_variant(const KernelSpec& spec, const CallShape& shape,
                          std::string_view device_name, int multiprocessors);

  void log(LogLevel level, std::string_view text) const;

  // The caller was given it. For the history, once each, if there is one.
  void was_asked_for(const KernelSpec& spec);

  // Unloads everything. Waits for loads that are running, but no longer than that; what is still
  // being loaded then is unloaded by its own thread.
  void close(std::chrono::milliseconds patience) noexcept;

  const std::shared_ptr<LogGate> log_gate = std::make_shared<LogGate>();
  const Options options;
  Counters counters;
  ArtifactBuilder builder;
  SpecTable<std::shared_ptr<const Artifact>> artifacts;

  std::mutex driver_mutex;
  std::shared_ptr<const Driver> loaded_driver;
  std::optional<KernelTable> kernels{std::in_place};
  std::optional<StandInTable> stand_ins{std::in_place};
  std::atomic<std::size_t> stand_ins_made{0};
  const NvtxRanges nvtx;

  TunedChoices tuned;

  std::optional<cache::HistoryLog> history;
  SpecTable<bool> asked_for;

  SpecTable<bool> host_prepared;  // what the executor has been asked for
  std::mutex host_mutex;
  std::unique_ptr<host::HostExecutor> executor;

  // Who uses kernels and stand_ins in the background is inside.
  class Inside {
   public:
    Inside(RuntimeState& state, const KernelSpec& spec);  // throws Error(cancelled) after close()
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    RuntimeState& state_;
  };

 private:
  std::mutex gate_mutex_;
  std::condition_variable left_;
  int inside_ = 0;
  bool closed_ = false;
};

// A context that is current for a thread of the background for a while.
class BorrowedContext {
 public:
  // Throws DriverError if the context cannot be made current: it was destroyed.
  BorrowedContext(const Driver& driver, CUcontext context);
  ~BorrowedContext();
  BorrowedContext(const BorrowedContext&) = delete;
  BorrowedContext& operator=(const BorrowedContext&) = delete;

 private:
  const Driver& driver_;
};

}  // namespace fourge
