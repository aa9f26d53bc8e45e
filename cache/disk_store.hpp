// Entries as files below one directory, shared by any number of threads and processes.
//
//   ROOT/v2/AB/CD/NAME.fourge           one entry (cache/entry.hpp, cache/store_layout.hpp)
//   ROOT/v2/AB/CD/NAME.fourge.*.tmp     an entry being written; never looked up
//   ROOT/v2/quarantine/                 bad entries (cache/quarantine.hpp)
//
// Whose files are believed: cache/trust.hpp. What is not trusted is neither used nor moved nor
// removed, and nothing is written beside it.
//
// No lock is taken: an entry appears whole by rename, or not at all, and is verified at every read.
// Writers of the same key write the same bytes, so it does not matter who wins. Nothing is created
// before the first publish. Thread-safe.
//
// The root should be an absolute path; an empty one makes a store that is off.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cache/entry.hpp"
#include "cache/file_system.hpp"
#include "cache/key.hpp"
#include "cache/quarantine.hpp"
#include "cache/temporary_name.hpp"
#include "cache/trust.hpp"

namespace fourge::cache {

// Larger files are no entries of ours and are not read into memory.
inline constexpr std::size_t kMaximumEntryBytes = 256U << 20U;

// What a caller knows of a payload and this module does not: why a whole entry of the right key must
// not be used, or nothing. May throw; that is a miss, and the entry stays.
struct EntryRefusal {
  MissCause cause = MissCause::key;
  std::string detail;  // as in ParseResult: "its target is sm_80, ..."
};
using EntryCheck = std::function<std::optional<EntryRefusal>(const Entry&)>;

struct LookupResult {
  std::optional<Entry> entry;
  MissCause cause = MissCause::absent;  // these three: if there is no entry
  std::string detail;                   // which file, and what is wrong with it
  bool set_aside = false;               // a bad entry was there and this call moved it away
};

// A miss (nothing is moved) if there is an entry and the check refuses it.
LookupResult checked_entry(LookupResult found, const EntryCheck& check);

struct PublishResult {
  bool ok = false;         // an entry of this key is in the store
  bool lost_race = false;  // ok, but it is another writer's
  std::string detail;  // not ok: what failed, where, and why. ok: empty or what is worth knowing
};

struct EntryInfo {
  std::string path;
  std::string key_hex;  // as the file name says
  std::string record;   // JSON; empty unless valid
  std::uint64_t payload_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::chrono::system_clock::time_point modified;
  bool valid = false;
  MissCause cause = MissCause::absent;  // these two: if not valid
  std::string detail;
};

struct VerifyReport {
  std::size_t checked = 0;
  std::size_t valid = 0;
  std::size_t set_aside = 0;
  std::uint64_t bytes = 0;     // of the files checked
  std::vector<EntryInfo> bad;  // path: where it was
};

struct ClearReport {
  std::size_t entries = 0;  // removed, as the next three
  std::size_t quarantined = 0;
  std::size_t temporaries = 0;
  std::size_t usage_files = 0;    // stamps, sizes and counters (ROOT/usage)
  std::uint64_t bytes = 0;        // freed
  std::vector<std::string> left;  // ours, but could not be removed: path and why
};

class DiskStore {
 public:
  // The file system must outlive the store.
  explicit DiskStore(std::string root, FileSystem& files = posix_file_system(),
                     TrustPolicy trust = {});

  const std::string& root() const noexcept { return root_.path; }
  const TrustPolicy& trust() const noexcept { return root_.trust; }
  bool enabled() const noexcept { return !root_.path.empty(); }
  std::string path_of(const CacheKey& key) const;
  const std::string& quarantine_directory() const noexcept { return quarantine_.directory(); }

  // Never throws. A bad entry is set aside and is a miss. What merely cannot be read at the moment
  // (an I/O error, no permission) is a miss and stays, and so is and does what is not trusted. An
  // entry that the check refuses is a bad one.
  LookupResult lookup(const CacheKey& key, const EntryCheck& check = {}) noexcept;

  // For a process without a compiler, which cannot know the full key: the newest good entry of the same
  // request, whatever toolchain made it. Never throws; entries that are not good are passed over.
  LookupResult lookup_request(const CacheKey& key, const EntryCheck& check = {}) noexcept;

  // Never throws and leaves nothing behind when it fails. Replaces an entry of the same key. The first
  // and every sixteenth call of a store also remove some of what killed writers have left.
  PublishResult publish(const CacheKey& key, std::span<const std::byte> payload) noexcept;

  // These three read the whole store and throw Error(io) if a directory of it cannot be read. A
  // store that does not exist is an empty one.

  // All entries, read and verified, in the order of their paths. Changes nothing.
  std::vector<EntryInfo> list();
  // The same, and bad entries are set aside.
  VerifyReport verify();
  // Removes entries, those of earlier layouts too, quarantined files, stale temporary files, what is
  // known of their use (ROOT/usage) and directories left empty. Files that are not ours stay, and so do
  // the root and temporary files that may still have a writer.
  ClearReport clear();

 private:
  struct EntryFile {
    std::string directory;
    std::string name;
  };
  struct Inspection {
    EntryInfo info;
    std::optional<FileStatus> judged;  // of a file that must be set aside
  };
  struct Failure {
    MissCause cause = MissCause::unreadable;
    std::string detail;
    std::optional<FileStatus> judged;  // set if the file itself is bad
  };

  FilePath in_root(std::string path) const { return {root_, std::move(path)}; }
  std::string entry_directory(const CacheKey& key) const;
  LookupResult checked_lookup(const CacheKey& key, const EntryCheck& check);
  LookupResult checked_lookup_request(const CacheKey& key, const EntryCheck& check);
  PublishResult checked_publish(const CacheKey& key, std::span<const std::byte> payload);
  bool remove_obstacle(const CacheKey& key);
  // Of what read_file() did not give.
  Failure judge_unreadable(const std::string& path, const IoResult<FileContents>& file);
  std::string untrusted_obstacle(const CacheKey& key);
  std::vector<std::string> subdirectories(const std::string& directory);
  std::vector<EntryFile> entry_files();
  Inspection inspect(const EntryFile& file);
  void sweep_sometimes(const CacheKey& key) noexcept;
  void sweep_temporaries(const std::string& shard);
  void clear_version(const std::string& directory, ClearReport& report);
  void clear_directory(const std::string& directory, ClearReport& report);
  void clear_usage(ClearReport& report);

  Root root_;
  std::string version_directory_;
  FileSystem& files_;
  Quarantine quarantine_;
  std::atomic<std::uint32_t> publishes_{0};
};

}  // namespace fourge::cache
