// Tuning records in a cache directory, one file each.
//
//   ROOT/tuned-v1/NAME.tuned          NAME: the SHA-256 of the key's texts
//   ROOT/tuned-v1/NAME.tuned.*.tmp    being written
//
// Trusted as entries are (cache/trust.hpp); files appear whole, by rename, so that any number of processes
// may read and write. What is damaged, of another question, or stale is never believed and, since
// somebody may have use for it, never removed but by the next record of its question. The newest
// kMostTuningRecords files stay. Nothing is created before the first record. Thread-safe.
#pragma once

#include <fourge/export.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cache/file_system.hpp"
#include "runtime/tuning/tuning_record.hpp"

namespace fourge {

inline constexpr std::size_t kMostTuningRecords = 1024;

struct TuningAnswer {
  std::optional<TuningRecord> record;  // none: there is none, or none that is good for this
  std::string warning;                 // why one that is there is not used; names the file
};

class FOURGE_API TuningStore {
 public:
  // Empty root: there are no records, and none can be kept. The file system must outlive the store.
  explicit TuningStore(std::string root, cache::FileSystem& files = cache::posix_file_system(),
                       cache::TrustPolicy trust = {}, std::size_t most = kMostTuningRecords);

  std::string path_of(const TuningKey& key) const;

  // Never throws for what the system refuses or for what a file holds.
  TuningAnswer find(const TuningKey& key, const TuningBasis& basis) const;
  // The same for a basis that is only computed if there is a record.
  TuningAnswer find(const TuningKey& key, const std::function<TuningBasis()>& basis) const;
  // In place of an older one. Throws Error(io) that says which file could not be written and why,
  // Error(invalid_argument) for a record that may not be or without a root.
  void keep(const TuningRecord& record);
  // All that can be read, stale ones too, in the order of keys. Throws Error(io) if the directory is there
  // and cannot be read.
  std::vector<TuningRecord> list() const;

 private:
  cache::FilePath in_root(std::string path) const { return {root_, std::move(path)}; }
  void prune();

  cache::Root root_;
  std::string directory_;
  cache::FileSystem& files_;
  std::size_t most_;
};

}  // namespace fourge
