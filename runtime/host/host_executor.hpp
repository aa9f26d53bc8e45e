// Host execution: compiles generated sources with the machine's C++ compiler and runs them on the
// CPU.
#pragma once

#include <atomic>
#include <cstdint>
#include <fourge/kernel.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/op_definition.hpp>
#include <fourge/options.hpp>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/trust.hpp"
#include "runtime/host/grid_runner.hpp"
#include "runtime/host/host_compiler.hpp"
#include "runtime/host/launch.hpp"

namespace fourge::host {

class LoadedObject;
class ObjectStore;
class ScopedDirectory;

struct HostOptions {
  std::string compiler = "c++";  // a path, or a name that is searched in PATH
  // Compiled batches go to <cache_directory>/host. Empty, or a directory that cannot be written
  // (one warning): they live in a temporary directory until the executor is destroyed.
  std::string cache_directory;
  unsigned threads = 0;  // OS threads of one launch; 0: as many as the machine runs, at most 16
  std::function<void(LogLevel, std::string_view)> log;
  // Whose directory and files are used; one of others is as good as one that cannot be written.
  cache::TrustPolicy trust{};
};

// The source of a spec, as NVRTC gets it.
struct HostSource {
  KernelSpec spec;
  std::string entry_name;
  std::string source;
};

// A source that belongs to no operation, for tests.
struct RawSource {
  std::string entry_name;
  std::string source;
  std::string label;  // for messages; empty: the entry's name
};

struct HostCounters {
  std::uint64_t memory_hits = 0;  // kernels found loaded
  std::uint64_t disk_hits = 0;    // kernels found in the cache directory
  std::uint64_t kernels_compiled = 0;
  std::uint64_t compiler_runs = 0;  // batches; the question for the compiler's version is not one
  std::uint64_t heals = 0;          // bad batches removed and rebuilt
};

// Thread-safe: one prepare at a time, launches concurrently. Kernels and functions are valid until
// the executor is destroyed; no launch may be under way then.
class HostExecutor {
 public:
  explicit HostExecutor(HostOptions options);
  ~HostExecutor();
  HostExecutor(const HostExecutor&) = delete;
  HostExecutor& operator=(const HostExecutor&) = delete;

  // Makes the kernels ready, in the order of the sources, compiling those that neither memory nor
  // disk holds: up to 16 in one translation unit, two compilers at a time. Throws
  // Error(unsupported) if the compiler cannot be run, CompileError for the first source that it
  // refuses (the source's directory is kept), Error(internal) if an entry's parameters are not
  // those of the op.
  std::vector<const detail::HostKernelState*> prepare(std::span<const HostSource> sources);

  // The same below the level of operations.
  std::vector<const HostFunction*> load(std::span<const RawSource> sources);

  // Runs a kernel. arguments: a pointer for each parameter of the entry. Throws as HostKernel.
  void launch(const HostFunction& function, const LaunchShape& shape,
              std::span<const BufferRegion> regions, std::span<const void* const> arguments);

  // Waits for nothing.
  HostCounters counters() const;

 private:
  struct Pending;
  struct Built;

  void log(LogLevel level, const std::string& text) const;
  void open_store();
  std::string key_of(const RawSource& source) const;
  const HostFunction* find(const std::string& key, const RawSource& source);
  const LoadedObject* find_object(const std::string& digest);
  const HostFunction* add(const std::string& key, const RawSource& source,
                          const LoadedObject& object);
  void compile(const std::vector<Pending>& missing);
  Built build(std::span<const Pending> batch);
  Built build_or_explain(std::span<const Pending> batch);
  void install(Built& built, std::span<const Pending> batch);

  HostOptions options_;
  HostCompiler compiler_;
  GridRunner grid_;

  mutable std::mutex mutex_;  // of what follows
  std::unique_ptr<ScopedDirectory> private_directory_;
  std::unique_ptr<ObjectStore> store_;
  std::string build_prefix_;  // of the directories in which batches are compiled
  std::string identity_;      // the compiler's
  std::vector<std::unique_ptr<ScopedDirectory>> unpublished_;     // batches that no directory took
  std::map<std::string, std::unique_ptr<LoadedObject>> objects_;  // by digest
  std::map<std::string, std::unique_ptr<HostFunction>> functions_;  // by key and label
  std::map<const HostFunction*, std::unique_ptr<detail::HostKernelState>> kernels_;

  // Read while a compile holds the mutex.
  std::atomic<std::uint64_t> memory_hits_{0};
  std::atomic<std::uint64_t> disk_hits_{0};
  std::atomic<std::uint64_t> kernels_compiled_{0};
  std::atomic<std::uint64_t> compiler_runs_{0};
  std::atomic<std::uint64_t> heals_{0};
};

}  // namespace fourge::host
