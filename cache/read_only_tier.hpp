// A tier that is read and never written: a directory that another process filled (a cache baked into
// an image, a shared mount), or a bundle. Nothing in it is created, moved, stamped or removed, and a
// bad entry stays where it is.
//
// Trust: what lies in a directory must belong to this user or root and be writable by the owner only
// (cache/trust.hpp; the administrator is always accepted); for a bundle see cache/bundle_reader.hpp.
//
// Making a tier touches no file; the first look-up does. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "cache/disk_store.hpp"
#include "cache/random_access_file.hpp"

namespace fourge::cache {

enum class TierKind { local, directory, bundle };

// "local", "directory", "bundle".
const char* to_string(TierKind kind) noexcept;

class ReadOnlyTier {
 public:
  ReadOnlyTier(TierKind kind, std::string path) : kind_(kind), path_(std::move(path)) {}
  virtual ~ReadOnlyTier() = default;
  ReadOnlyTier(const ReadOnlyTier&) = delete;
  ReadOnlyTier& operator=(const ReadOnlyTier&) = delete;

  TierKind kind() const noexcept { return kind_; }
  const std::string& path() const noexcept { return path_; }

  // As DiskStore's, but that nothing is set aside, and that of several entries of a request the first
  // one in the order of their names is given that is good and that the check does not refuse.
  virtual LookupResult lookup(const CacheKey& key, const EntryCheck& check) noexcept = 0;
  virtual LookupResult lookup_request(const CacheKey& key, const EntryCheck& check) noexcept = 0;

 private:
  TierKind kind_;
  std::string path_;
};

// The file system must outlive the tier.
std::unique_ptr<ReadOnlyTier> make_directory_tier(std::string root, const TrustPolicy& trust = {},
                                                  FileSystem& files = posix_file_system());

// public_key: PEM, or the path of a file with PEM; empty: signatures are not asked for. A key that
// cannot be read makes every look-up a miss (unreadable; untrusted if it is no key) that says so. A bundle or key that is not
// there, or cannot be read, is tried again at the next look-up; one that was refused for another reason is not.
std::unique_ptr<ReadOnlyTier> make_bundle_tier(std::string path, std::string public_key,
                                               const TrustPolicy& trust = {},
                                               OpenFile open_file = open_random_access);

// By the name: a bundle if the path ends with ".fourge", else a directory.
std::unique_ptr<ReadOnlyTier> make_read_only_tier(const std::string& path,
                                                  const std::string& bundle_public_key,
                                                  const TrustPolicy& trust = {},
                                                  FileSystem& files = posix_file_system());

}  // namespace fourge::cache
