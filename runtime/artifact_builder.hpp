// From a spec to a cubin, through the disk cache: the steps between the in-memory table and the
// driver.
//   source and options -> key -> disk -> (one process of the host) compile -> publish
#pragma once

#include <fourge/export.hpp>
#include <fourge/options.hpp>
#include <fourge/runtime.hpp>

#include "cache/disk_store.hpp"
#include "cache/evictor.hpp"
#include "cache/file_system.hpp"
#include "cache/key.hpp"
#include "cache/tiered_cache.hpp"
#include "runtime/build_request.hpp"
#include "runtime/compile_elsewhere.hpp"
#include "runtime/compile_once.hpp"
#include "runtime/counters.hpp"

#include <atomic>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace fourge {

class ArtifactBuilder {
 public:
  // All outlive the builder. The files are another's in tests only.
  ArtifactBuilder(const Options& options, Counters& counters,
                  cache::FileSystem& files = cache::posix_file_system());
  ~ArtifactBuilder();
  ArtifactBuilder(const ArtifactBuilder&) = delete;
  ArtifactBuilder& operator=(const ArtifactBuilder&) = delete;

  // Thread-safe. Does not look into memory and does not keep what it returns. What it returns stays in
  // the cache directory as far as this process decides: its evictor holds it. Throws Error(cancelled)
  // soon after a stop was requested. What no cache has is compiled elsewhere, if that is given.
  Artifact build(const KernelSpec& spec, const std::stop_token& stop = {},
                 CompileElsewhere* elsewhere = nullptr);
  // Whether a verified entry is in one of the caches. Compiles nothing.
  bool is_cached(const KernelSpec& spec);

  const cache::TrustPolicy& trust() const noexcept { return trust_; }

  // Throws nothing but what generating the source throws. Without NVRTC the key names no toolchain: it
  // serves for a look-up by request only.
  BuildRequest request(const KernelSpec& spec);

 private:
  // A build looks once, and again when it has waited: what is missing is then not counted twice.
  enum class Look { first, again };
  std::optional<Artifact> from_disk(const BuildRequest& request, Look look);
  cache::TieredResult timed(const std::function<cache::TieredResult()>& look);
  // Those of the evictor into this process's, and these to disk from time to time.
  void keep_counters() noexcept;
  void count(const KernelSpec& spec, const cache::TieredResult& found, Look look);
  Artifact checked_build(const BuildRequest& request, const std::stop_token& stop,
                         CompileElsewhere* elsewhere);
  // Nothing: it must be compiled here.
  std::optional<Artifact> build_elsewhere(const BuildRequest& request, const std::stop_token& stop,
                                          CompileElsewhere& elsewhere);
  Artifact build_without_compiler(const BuildRequest& request);
  Artifact build_on_miss(const BuildRequest& request, const std::stop_token& stop);
  // False if others will not find it.
  bool publish(const BuildRequest& request, const Artifact& artifact);
  void log(LogLevel level, std::string_view text) const;

  const Options& options_;
  Counters& counters_;
  cache::TrustPolicy trust_;  // of the cache directory
  std::optional<cache::DiskStore> store_;
  std::optional<cache::Evictor> evictor_;
  std::optional<cache::DiskCounters> kept_;
  std::optional<cache::TieredCache> tiers_;  // always; the store and the evictor belong to it
  std::optional<CompileOnce> compiler_;      // always
  std::atomic<bool> warned_{false};
};

// The key of a request: format version, spec text, target, digest of the exact source, options, and
// the identity of the compiler's build.
FOURGE_API cache::CacheKey make_key(const KernelSpec& spec, std::string_view source,
                                    const std::vector<std::string>& options,
                                    const std::string& nvrtc_identity);

}  // namespace fourge
