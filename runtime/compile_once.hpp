// What happens when no cache has a kernel: one process of the host compiles it while the others wait
// for its entry (cache/single_flight.hpp), within the host's compile slots, and what does not compile
// is remembered for a while (cache/failure_store.hpp).
//
// Remembered is what the compiler says about the source and the options. What the surroundings did (no
// memory, no library, a killed process) is not.
#pragma once

#include <fourge/options.hpp>
#include <fourge/runtime.hpp>

#include "cache/failure_store.hpp"
#include "cache/single_flight.hpp"
#include "jit/nvrtc.hpp"
#include "jit/nvrtc_location.hpp"
#include "runtime/build_request.hpp"
#include "runtime/counters.hpp"
#include "runtime/nvtx_ranges.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>

namespace fourge {

// The cache that results are shared through.
struct SharedResults {
  std::string root;                               // empty: there is none, and the rest is unused
  std::function<bool()> appeared;                 // cheap: there may be an entry now
  std::function<std::optional<Artifact>()> take;  // verified; nothing if there is no good one
  std::function<bool(const Artifact&)> publish;   // false if others will not find it
};

class CompileOnce {
 public:
  // All outlive this. The policy is that of the cache directory.
  CompileOnce(const Options& options, Counters& counters, cache::TrustPolicy trust,
              cache::FileSystem& files);

  // Where NVRTC is; not loaded.
  const jit::NvrtcLocation& location();

  // Another's result, or a new one, which is published. Throws CompileError if it does not compile,
  // or did not a short while ago; Error(cancelled) soon after a stop was requested.
  Artifact build(const BuildRequest& request, const SharedResults& results,
                 const std::stop_token& stop = {});

 private:
  const jit::Nvrtc& nvrtc();
  cache::FlightOptions flight_options(const SharedResults& results);
  void throw_if_remembered(const BuildRequest& request);
  Artifact compile(const BuildRequest& request, const std::stop_token& stop);
  [[noreturn]] void fail(const BuildRequest& request, const jit::CompileOutput& output);
  void note(const BuildRequest& request, const cache::FlightReport& report);
  void log(LogLevel level, std::string_view text) const;

  const Options& options_;
  Counters& counters_;
  const cache::TrustPolicy trust_;
  cache::FailureStore failures_;
  const std::chrono::system_clock::time_point created_;
  const NvtxRanges nvtx_;
  std::once_flag located_;
  jit::NvrtcLocation location_;
  std::mutex nvrtc_mutex_;
  std::unique_ptr<jit::Nvrtc> nvrtc_;
  std::atomic<bool> other_nvrtc_{false};  // than the keys say
  std::once_flag swept_;
};

}  // namespace fourge
