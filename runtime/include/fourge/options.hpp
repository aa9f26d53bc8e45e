// How a Runtime works. Environment variables are read once, by from_environment(), into this struct;
// nothing reads them later. Two Runtimes with different options do not influence each other. A Runtime
// copies its options: changing them later, from whatever thread, changes nothing.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_registry.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fourge {

enum class LogLevel { debug, info, warn, error };

struct FOURGE_API Options {
  // Directory of the disk cache. Empty: no disk cache, compiled kernels live in memory only.
  std::string cache_directory;
  // Caches that are only read, asked in this order after cache_directory: directories laid out as a cache
  // directory (`fourge prewarm --output`), and bundles (`fourge cache export`; the name ends with
  // ".fourge"). What is in them must belong to this user or root and be writable by nobody else; a bad
  // entry is passed over and stays.
  std::vector<std::string> cache_read_only;
  // Whether what is found in one of them is copied into cache_directory. That this fails is no error.
  bool cache_promote = true;
  // Public key (Ed25519) that bundles must be signed with: PEM, or the path of a file with PEM. Then no
  // other bundle is used, and the owner and mode of the file do not matter. Empty: signatures are not
  // looked at.
  std::string bundle_public_key;
  // Bytes of entries that cache_directory may hold; the least recently used are removed. 0: no limit.
  std::uint64_t cache_byte_limit = std::uint64_t{1} << 30U;
  // A group (name or number) whose members share cache_directory: what belongs to it may be written by
  // it and owned by any of them. Empty: what others own or may write is not used, and a cache
  // directory of others is neither read nor written. A Runtime is not made if there is no such group.
  std::string trusted_group;
  // The host's directory for lock files of this user (XDG_RUNTIME_DIR). Empty: /tmp/fourge-UID.
  std::string runtime_directory;
  // Path of libnvrtc. Empty: search the loader's path, then CUDA_HOME, then /usr/local/cuda.
  std::string nvrtc_library;
  // CUDA_HOME as found; used only to search for libnvrtc.
  std::string cuda_home;
  // Name or path of the CUDA driver library.
  std::string driver_library = "libcuda.so.1";
  // C++ compiler for host execution (a program name or path).
  std::string host_compiler = "c++";
  // Times below are taken as 0 if they are negative, and as kMostTime of their unit if they are longer.
  static constexpr std::int64_t kMostTime = 1'000'000'000;
  // How long to wait for another process that compiles the same kernel before compiling it here too.
  std::chrono::milliseconds compile_wait{120'000};
  // A process that compiles shows every eighth of this time that it lives; one that did not for this
  // long (stopped, swapped out) is replaced by one that waits for it. 0: it is waited for.
  std::chrono::milliseconds stuck_after{4'000};
  // Compiles at once on this host, over all processes of this user (whoever finds no free slot within
  // compile_wait compiles all the same). 0: by processors and memory; more than kMostCompileSlots count as that.
  static constexpr std::size_t kMostCompileSlots = 1024;
  std::size_t compile_slots = 0;
  // For how long what did not compile is remembered in cache_directory, and not tried again by any
  // process with the same compiler. 0: not at all.
  std::chrono::seconds failure_memory{600};
  // Forget what did not compile before this Runtime was made.
  bool retry_failed = false;
  // The fourge command, whose processes do the compiles of the background (prepare_async(),
  // prepare_all(), what stands behind a fallback), where they can be killed. Empty: these compiles run
  // in threads of this process; then one that does not end cannot be killed. It must be of the same
  // version: an answer for another source is not used (one warning). Operations of your own, which
  // the command does not know, are compiled in this process, and so is what no worker could be
  // started for (one warning).
  std::string worker_program;
  // The workers' environment, NAME=VALUE. What these options say stands above it.
  std::vector<std::string> worker_environment;
  // A worker that takes longer for one kernel is killed: Error(compile_failed).
  std::chrono::milliseconds worker_deadline{600'000};
  // As is one that needs more memory. 0: its share of three quarters of the machine, 512 MiB to 4 GiB.
  std::uint64_t worker_memory_bytes = 0;
  // Whether what this Runtime is asked for is remembered in cache_directory, for `fourge prewarm
  // --from-history`: each spec that prepare(), build() and their asynchronous forms gave, once.
  bool history = false;
  // Operations of your own (docs/adding_an_op.md), known to this Runtime only.
  OpRegistry ops;
  // Ranges for NVIDIA's profilers around each compile and load (domain "fourge"). A build without NVTX's
  // header has none, and warns when they are asked for.
  bool nvtx = false;
  // Called from any thread; must not throw. Unset: silent. Never called on the launch path.
  // <fourge/log_adapter.hpp> makes one of a logger.
  std::function<void(LogLevel, std::string_view)> log;

  // FOURGE_CACHE_DIR, else XDG_CACHE_HOME/fourge, else HOME/.cache/fourge ("" when none is set);
  // FOURGE_CACHE_READ_ONLY (paths separated by colons); FOURGE_BUNDLE_PUBLIC_KEY; FOURGE_CACHE_LIMIT
  // (bytes, or with K, M, G or T; throws Error(invalid_argument) for anything else);
  // FOURGE_COMPILE_SLOTS and FOURGE_FAILURE_MEMORY (seconds; both: throws as well if it is no number);
  // FOURGE_WORKER (a path, or off; else the command beside the library or program, in ../bin or in PATH)
  // and the whole environment for worker_environment; FOURGE_HISTORY (1 or 0; throws as well);
  // FOURGE_CACHE_GROUP; XDG_RUNTIME_DIR; FOURGE_NVRTC; CUDA_HOME, else CUDA_PATH; FOURGE_HOST_CXX.
  static Options from_environment();
};

}  // namespace fourge
