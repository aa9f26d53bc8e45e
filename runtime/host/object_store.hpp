// Compiled batches on disk. A batch is stored under the SHA-256 of its bytes, so its name verifies
// it; each kernel has a small reference, under the kernel's key, that names the batch it is in:
//   <directory>/<kernel key>.ref    "fourge-host 1 <digest>\n"
//   <directory>/<digest>.so
// Any number of processes may share a directory.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "cache/file_system.hpp"

namespace fourge::host {

class ObjectStore {
 public:
  // The directory must exist. What the policy does not trust is not there, or bad.
  explicit ObjectStore(std::string directory, const cache::TrustPolicy& trust = {})
      : root_{std::move(directory), trust} {}

  const std::string& directory() const noexcept { return root_.path; }

  // The digest of the batch that holds the kernel; nothing without a well-formed reference.
  std::optional<std::string> find(const std::string& key) const;
  std::string object_path(const std::string& digest) const;
  // Empty if the batch is there, ours, and has the bytes that its name promises.
  std::string problem_of(const std::string& digest) const;

  // Moves a compiled batch in and returns its digest. Throws Error(io).
  std::string publish_object(const std::string& path) const;
  // scratch: a directory in the same file system. Throws Error(io).
  void publish_reference(const std::string& key, const std::string& digest,
                         const std::string& scratch) const;
  void remove_object(const std::string& digest) const noexcept;

 private:
  std::string reference_path(const std::string& key) const;

  // Of this store's own files: for this user, or the trusted group, alone, whatever the umask.
  void publish(const std::string& from, const std::string& to) const;

  cache::Root root_;
};

}  // namespace fourge::host
