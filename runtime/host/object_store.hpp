// Compiled batches on disk. A batch is stored under the SHA-256 of its bytes, so its name verifies
// it; each kernel has a small reference, under the kernel's key, that names the batch it is in:
//   <directory>/<kernel key>.ref    "fourge-host 1 <digest>\n"
//   <directory>/<digest>.so
// Any number of processes may share a directory.
#pragma once

#include <optional>
#include <string>

namespace fourge::host {

class ObjectStore {
 public:
  // The directory must exist.
  explicit ObjectStore(std::string directory) : directory_(std::move(directory)) {}

  const std::string& directory() const noexcept { return directory_; }

  // The digest of the batch that holds the kernel; nothing without a well-formed reference.
  std::optional<std::string> find(const std::string& key) const;
  std::string object_path(const std::string& digest) const;
  // Whether the batch is there with the bytes that its name promises.
  bool verify(const std::string& digest) const;

  // Moves a compiled batch in and returns its digest. Throws Error(io).
  std::string publish_object(const std::string& path) const;
  // scratch: a directory in the same file system. Throws Error(io).
  void publish_reference(const std::string& key, const std::string& digest,
                         const std::string& scratch) const;
  void remove_object(const std::string& digest) const noexcept;

 private:
  std::string reference_path(const std::string& key) const;

  std::string directory_;
};

}  // namespace fourge::host
