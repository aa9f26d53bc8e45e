// Collects entries and writes them as one bundle (cache/bundle.hpp). Entries stay where they are until
// write(): a bundle may be larger than the memory. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "cache/bundle.hpp"
#include "cache/file_system.hpp"
#include "cache/signature.hpp"

namespace fourge::cache {

class BundleWriter {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;

  // The file system must outlive the writer.
  explicit BundleWriter(FileSystem& files = posix_file_system()) : files_(files) {}

  // Verifies the entry in this file. One whose key is already here replaces the other. Throws
  // Error(io) if it is no good entry.
  void add(const std::string& path);
  // The same; false if there is no such file, as when another process has evicted the entry.
  bool add_if_there(const std::string& path);

  std::size_t size() const noexcept { return sources_.size(); }

  // Hands the bundle to the sink in pieces, from the beginning to the end, and returns its length in
  // bytes. Throws Error(io) if an entry has changed since it was added (the pieces so far are no
  // bundle then) and Error(invalid_argument) if there are too many entries.
  std::uint64_t write(const Sink& sink, const PrivateKey* key) const;

  // After a write() that failed since entries were evicted or replaced meanwhile: leaves out those whose files are gone
  // and takes changed ones as they are now. How many of both; after none another write() would fail, too. Throws
  // Error(io) if one is no good entry now.
  std::size_t refresh();

 private:
  struct Source {
    std::string path;
    std::uint64_t length = 0;
    Digest digest;
  };

  FileSystem& files_;
  std::map<std::pair<Digest, Digest>, Source> sources_;  // by request, then full
};

}  // namespace fourge::cache
