// What a server says to a Runtime before it serves, and what it may ask while it does:
//
//   cold ── prepare_all(manifest) ──> ready ── freeze(policy) ──> frozen ── thaw() ──> ready
//
// A Runtime works in each of these states; they say what a miss means. docs/serving.md has the whole
// story. Values; the functions that take and give them belong to fourge::Runtime and are thread-safe.
#pragma once

#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

namespace fourge {

// What happens in a frozen Runtime to a call that does not find what it asks for in memory.
enum class FreezePolicy {
  refuse,            // Error(frozen); nothing is looked up, compiled or loaded
  warn_and_compile,  // a warning to the log, then as before freezing
  fallback,          // prepare(): the fallback variant at once, the wanted one when it is there
};
inline constexpr std::size_t kFreezePolicies = 3;
// "refuse", "warn_and_compile", "fallback"
FOURGE_API const char* to_string(FreezePolicy policy) noexcept;

enum class Preparation {
  device,  // for the current context's device: built and loaded, as prepare() does
  build,   // for all the targets that the manifest names: in the cache and in memory; needs no GPU
  host,  // compiled for host execution, as prepare_host() does; the manifest's targets decide what
         // is emulated, and without any it is sm_90a
};

struct PrepareProgress {
  std::size_t done = 0;  // those that failed are among them
  std::size_t failed = 0;
  std::size_t total = 0;               // fallback variants are among them
  const KernelSpec* spec = nullptr;    // the one that is done now
  const std::string* error = nullptr;  // null: all is well
};

struct PrepareAllOptions {
  Preparation where = Preparation::device;
  // Called on the calling thread for each kernel that is done. May throw: that ends prepare_all().
  std::function<void(const PrepareProgress&)> progress;
  // A stop that is requested ends prepare_all() with Error(cancelled).
  std::stop_token stop;
};

struct PrepareFailure {
  KernelSpec spec;
  ErrorKind kind;
  std::string message;
};

struct PrepareReport {
  std::size_t prepared = 0;  // fallback variants are among them
  std::size_t compiled = 0;  // of these; the rest was in a cache or in memory
  std::vector<PrepareFailure> failures;
  bool ok() const noexcept { return failures.empty(); }
};

// A snapshot, for readiness checks; takes no lock.
struct ServingStatus {
  bool preparing = false;  // prepare_all() runs
  bool ready = false;      // the last prepare_all() ended well
  bool frozen = false;
  FreezePolicy policy = FreezePolicy::refuse;  // if frozen
  std::size_t done = 0;  // these three: of the prepare_all() that runs, or of the last one
  std::size_t failed = 0;
  std::size_t total = 0;
  std::size_t pending = 0;    // requests in the background, running ones among them
  std::size_t stand_ins = 0;  // kernels that a fallback variant stands in for now
  std::uint64_t frozen_misses = 0;
};

}  // namespace fourge
