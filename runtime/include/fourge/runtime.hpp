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
#include <fourge/launch_choice.hpp>
#include <fourge/manifest.hpp>
#include <fourge/options.hpp>
#include <fourge/pending.hpp>
#include <fourge/serving.hpp>
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

struct DeviceInfo;  // <fourge/device.hpp>

enum class Origin { disk, compiled };
FOURGE_API const char* to_string(Origin origin) noexcept;

// What a spec turns into, before any GPU is involved.
struct FOURGE_API Artifact {
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
  // Cancels what is pending, kills worker processes and waits for nothing longer than a second: a
  // compile in this process that does not end goes on alone, and its result is dropped. No call may be
  // in progress, and no launch of its kernels; the log callback is not called afterwards (one that is
  // running is waited for).
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

  // prepare() in the background, for the context that is current now: that must live until the result
  // is there, the request is cancelled or the Runtime destroyed. Throws Error(unsupported) without a
  // current context. What a background compile runs in: Options::worker_program.
  PendingKernel prepare_async(const KernelSpec& spec);
  // build() in the background. Needs no GPU.
  PendingArtifact build_async(const KernelSpec& spec);

  // The variant to prepare for calls of this shape: the fastest that `fourge tune` found for a device of
  // this model and is kept in the cache directory, else choose_launch()'s. The results are the spec's, bit
  // for bit. A record that is damaged, of another version of fourge or not legal for the call is ignored
  // with one warning. Ask once for a shape and keep the answer: the first question of a kind reads a
  // file. The device is that of the current context; throws as device_target() does. docs/tuning.md.
  KernelSpec best_variant(const KernelSpec& spec, const CallShape& shape) const;
  // The same for a device that need not be here.
  KernelSpec best_variant(const KernelSpec& spec, const CallShape& shape,
                          const DeviceInfo& device) const;

  // Whether a verified entry for the spec is in memory or in one of the caches: then build() compiles
  // nothing. Compiles nothing itself. (A bad entry is set aside as ever.)
  bool is_cached(const KernelSpec& spec);

  // Prepares all that the manifest has, and the fallback variants of that, in the background and in
  // parallel, and waits for it. One that fails does not stop the rest. ready() is true after one
  // without failures. Calls wait for one another. Throws Error(invalid_spec) before anything is
  // prepared if the manifest has nothing for this device, Error(unsupported) without a current
  // context (Preparation::device), Error(cancelled) if a stop was requested.
  PrepareReport prepare_all(const Manifest& manifest, const PrepareAllOptions& options = {});
  bool ready() const noexcept;

  // From now on a miss does what the policy says. A miss is
  //   prepare()       of a spec that is not loaded, whatever the caches have. One that is loaded is
  //                   loaded for a further context as ever.
  //   build()         of a spec that is not in memory
  //   prepare_host()  of a spec that was not prepared
  // With FreezePolicy::fallback, prepare() gives a Kernel that runs the loaded fallback variant (the one
  // that the manifest names, else KernelSpec::fallback()), and the wanted variant is compiled and
  // loaded in the background, for each context in which it was asked for. When it is there, all
  // handles change to it by themselves, without a lock on the launch path; results are the same bits.
  // The caller's thread compiles and loads nothing, so that this works in a stream capture, too.
  // Contexts must live until then. Without a loaded fallback variant: Error(frozen). For build() and
  // prepare_host(), which have no fallback, this policy is warn_and_compile.
  //
  // prepare_async(), build_async() and prepare_all() are made for adding kernels on purpose: they work
  // in a frozen Runtime as before. May be called in any state, and again with another policy.
  void freeze(FreezePolicy policy);
  void thaw() noexcept;
  ServingStatus serving() const noexcept;

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
