// The runtime: from a spec to a kernel that can be launched, through the caches.
//
//   fourge::Runtime runtime;                                    // options from the environment
//   auto spec = fourge::KernelSpec::parse("nvfp4_quantize[layout=128x4]", runtime.device_target());
//   fourge::Kernel kernel = runtime.prepare(spec);              // compiles at most once, anywhere
//   kernel.launch(fourge::Nvfp4QuantizeArgs{...}, stream);
//
// Thread-safe. prepare() of the same spec by many threads compiles once; of a prepared spec it is a
// lock-free look-up. libnvrtc is loaded at the first compile, libcuda at the first prepare().
#pragma once

#include <fourge/error.hpp>
#include <fourge/export.hpp>
#include <fourge/kernel.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/options.hpp>
#include <fourge/stats.hpp>
#include <fourge/target.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fourge {

enum class Origin { disk, compiled };
FOURGE_API const char* to_string(Origin origin) noexcept;

// What a spec turns into, before any GPU is involved.
struct Artifact {
  KernelSpec spec;
  std::string entry_name;
  std::string source;                // exactly what NVRTC gets
  std::vector<std::string> options;  // exactly what NVRTC gets
  std::string key;                   // hex
  std::string key_record;            // JSON: the fields the key was made of
  std::vector<std::byte> cubin;
  Origin origin;                  // where this process got it from, when it first built it
  std::chrono::nanoseconds took;  // look-up, or compile and publish
  std::string tier = {};          // disk: the cache directory or bundle that had it
};

class FOURGE_API Runtime {
 public:
  explicit Runtime(Options options = Options::from_environment());
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const Options& options() const noexcept;

  // A spec of a built-in operation or of one in Options::ops. As KernelSpec::parse() otherwise.
  KernelSpec parse(std::string_view text, std::optional<Target> fallback = std::nullopt) const;

  // The cubin for a spec: from memory, from disk, or compiled and published. Needs no GPU.
  std::shared_ptr<const Artifact> build(const KernelSpec& spec);

  // build(), then load. Loading is forced for the current context, so that no lazy load happens at the
  // first launch. Needs a current context; it is neither changed nor created here.
  //
  // While a stream is captured, a kernel that is loaded already is found as ever; one that is not is
  // refused with Error(unsupported) before anything is compiled, and the capture stays intact, if the
  // capture is seen: the thread is in the body of a fourge::Graph, its per-thread default stream is
  // captured, or a blocking stream of the current context is (by whatever thread: the driver does not
  // say). Given a stream (null: the legacy default stream), that one is looked at instead of the
  // context's blocking ones. A capture that is not seen is not harmed: loading is no part of it.
  // docs/cuda_graphs_and_contexts.md.
  Kernel prepare(const KernelSpec& spec);
  Kernel prepare(const KernelSpec& spec, CUstream_st* stream);

  // Compiles the generated sources with the host compiler (one run for all of them), or takes them from
  // the cache, for execution on the CPU.
  HostKernel prepare_host(const KernelSpec& spec);
  std::vector<HostKernel> prepare_host(std::span<const KernelSpec> specs);

  // The target for the device of the current context. Throws Error(unsupported) when there is no
  // driver, no current context, or a device fourge has no target for.
  Target device_target() const;

  Stats stats() const;

 private:
  struct Impl;
  Kernel prepare_for(const KernelSpec& spec, std::optional<CUstream_st*> stream);

  std::unique_ptr<Impl> impl_;
};

// The generated translation unit and the compiler options of a spec. Needs neither NVRTC nor a GPU.
// For built-in operations; <fourge/op_registry.hpp> has the same for added ones.
FOURGE_API std::string generate_source(const KernelSpec& spec);
FOURGE_API std::vector<std::string> compile_options(const KernelSpec& spec);

}  // namespace fourge
