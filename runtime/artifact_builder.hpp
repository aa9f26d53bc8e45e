// From a spec to a cubin, through the disk cache: the steps between the in-memory table and the
// driver.
//   source and options -> key -> disk -> (one process of the host) compile -> publish
#pragma once

#include <fourge/export.hpp>
#include <fourge/options.hpp>
#include <fourge/runtime.hpp>

#include "cache/disk_store.hpp"
#include "cache/evictor.hpp"
#include "cache/key.hpp"
#include "cache/tiered_cache.hpp"
#include "jit/nvrtc.hpp"
#include "jit/nvrtc_location.hpp"
#include "runtime/counters.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace fourge {

// Everything that decides the bytes of a cubin.
struct BuildRequest {
  KernelSpec spec;
  std::string source;
  std::vector<std::string> options;
  cache::CacheKey key;
};

class ArtifactBuilder {
 public:
  // Both outlive the builder.
  ArtifactBuilder(const Options& options, Counters& counters);

  // Thread-safe. Does not look into memory and does not keep what it returns.
  Artifact build(const KernelSpec& spec);

  // Throws nothing but what generating the source throws. Without NVRTC the key names no toolchain: it
  // serves for a look-up by request only.
  BuildRequest request(const KernelSpec& spec);

 private:
  std::optional<Artifact> from_disk(const BuildRequest& request);
  void count(const KernelSpec& spec, const cache::TieredResult& found);
  Artifact build_without_compiler(const BuildRequest& request);
  Artifact build_on_miss(const BuildRequest& request);
  Artifact compile(const BuildRequest& request);
  void publish(const BuildRequest& request, const Artifact& artifact);
  [[noreturn]] void fail(const BuildRequest& request, const jit::CompileOutput& output);
  const jit::NvrtcLocation& location();
  const jit::Nvrtc& nvrtc();
  void log(LogLevel level, std::string_view text) const;

  const Options& options_;
  Counters& counters_;
  std::optional<cache::DiskStore> store_;
  std::optional<cache::Evictor> evictor_;
  std::optional<cache::TieredCache> tiers_;  // always; the store and the evictor belong to it
  std::once_flag located_;
  jit::NvrtcLocation location_;
  std::mutex nvrtc_mutex_;
  std::unique_ptr<jit::Nvrtc> nvrtc_;
  std::atomic<bool> warned_{false};
};

// The key of a request: format version, spec text, target, digest of the exact source, options, and
// the identity of the compiler's build.
FOURGE_API cache::CacheKey make_key(const KernelSpec& spec, std::string_view source,
                         const std::vector<std::string>& options,
                         const std::string& nvrtc_identity);

}  // namespace fourge
