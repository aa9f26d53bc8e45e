// Looks entries up in a bundle (cache/bundle.hpp). The index is read and verified once, when the
// bundle is opened; each entry is read and verified when it is asked for, as an entry on disk is.
//
// Trust: a bundle must be a regular file and not a link. With a public key it must be signed with
// that key. Without one it must belong to this user or root and be writable by the owner only (and a
// group that the policy names).
// Thread-safe. A look-up takes O(log n) steps and reads the one entry.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "cache/bundle.hpp"
#include "cache/disk_store.hpp"
#include "cache/random_access_file.hpp"
#include "cache/signature.hpp"

namespace fourge::cache {

class BundleReader {
 public:
  struct Opened {
    std::unique_ptr<BundleReader> reader;
    MissCause cause = MissCause::unreadable;  // these two: if there is no reader
    std::string detail;
  };

  // Never throws. cause: absent (no such file), unreadable, untrusted, format, corrupt.
  static Opened open(const std::string& path, const PublicKey* key, const TrustPolicy& trust = {},
                     const OpenFile& open_file = open_random_access) noexcept;

  const std::string& path() const noexcept { return path_; }
  std::size_t size() const noexcept { return items_.size(); }
  const BundleItem& item(std::size_t position) const { return items_.at(position); }

  // These never throw. lookup_request() gives the first good entry of the request, in the order of the
  // index; entries that are not good, or that the check refuses, are passed over.
  LookupResult lookup(const CacheKey& key, const EntryCheck& check = {}) noexcept;
  LookupResult lookup_request(const CacheKey& key, const EntryCheck& check = {}) noexcept;
  // The entry at a position of the index, verified.
  LookupResult entry(std::size_t position) noexcept;

 private:
  BundleReader(std::string path, std::unique_ptr<RandomAccessFile> file,
               std::vector<BundleItem> items)
      : path_(std::move(path)), file_(std::move(file)), items_(std::move(items)) {}

  LookupResult read(const BundleItem& item, const CacheKey* expected);
  static Opened checked_open(const std::string& path, const PublicKey* key,
                             const TrustPolicy& trust, const OpenFile& open_file);

  std::string path_;
  std::unique_ptr<RandomAccessFile> file_;
  std::vector<BundleItem> items_;
};

}  // namespace fourge::cache
