// What did not compile, remembered for a while, so that a hundred processes see one failed compile.
//
//   ROOT/failed-v1/NAME.failed          one failure; NAME as of the entry that it stands for
//   ROOT/failed-v1/NAME.failed.*.tmp    being written
//
// A file is a cache entry (cache/entry.hpp) whose full digest is SHA-256("fourge failure" full), so
// that it can never be taken for a kernel, and whose payload is JSON:
//   {"failure":1,"time":microseconds since 1970,"compiler":...,"status":...,"log":...,"source":...}
// The key covers the compiler's build: another one tries for itself.
//
// The same discipline as for entries: trust (cache/trust.hpp), digest and key are checked before use,
// files appear whole by rename. What is bad, too old or from the future is removed and not believed.
// Bounded: the newest files within FailureLimits stay. Nothing is created before the first failure.
// Thread-safe. A FailureStore with an empty root remembers nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cache/file_system.hpp"
#include "cache/key.hpp"

namespace fourge::cache {

struct FailureLimits {
  std::size_t files = 256;
  std::uint64_t bytes = 8U << 20U;
  std::size_t log_bytes = 64U << 10U;  // of one log; the middle of a longer one is left out
};

struct Failure {
  std::chrono::system_clock::time_point time;
  std::string compiler;  // "NVRTC 13.0"
  std::string status;    // "NVRTC_ERROR_COMPILATION"
  std::string log;
  std::string source_path;  // where the source was kept; may be empty
};

struct FailureInfo {
  std::string path;
  std::string record;  // CacheKey::record
  Failure failure;
};

class FailureStore {
 public:
  // The file system must outlive the store.
  explicit FailureStore(std::string root, FileSystem& files = posix_file_system(),
                        TrustPolicy trust = {}, FailureLimits limits = {});

  std::string path_of(const CacheKey& key) const;

  // Never throws. Only failures between `since` and now are believed; others of this key are removed.
  std::optional<Failure> lookup(const CacheKey& key,
                                std::chrono::system_clock::time_point since) noexcept;
  // Never throws. False if it could not be written.
  bool remember(const CacheKey& key, Failure failure) noexcept;
  void forget(const CacheKey& key) noexcept;

  // All good ones, the newest first, however old. Throws Error(io) if the directory cannot be read.
  std::vector<FailureInfo> list();
  // Removes every failure, and what writers of them have left. The number of failures; the bytes of all
  // are added up, if that is wanted.
  std::size_t clear(std::uint64_t* bytes = nullptr);

 private:
  FilePath in_root(std::string path) const { return {root_, std::move(path)}; }
  std::optional<Failure> checked_lookup(const CacheKey& key,
                                        std::chrono::system_clock::time_point since);
  bool checked_remember(const CacheKey& key, Failure failure);
  void prune();

  Root root_;
  std::string directory_;
  FileSystem& files_;
  FailureLimits limits_;
};

}  // namespace fourge::cache
