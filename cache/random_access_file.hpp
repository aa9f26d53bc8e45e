// One file that is read in parts, without a mapping: a mapped file that is cut short, or on a network
// that goes away, raises SIGBUS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "cache/file_system.hpp"

namespace fourge::cache {

class RandomAccessFile {
 public:
  RandomAccessFile() = default;
  virtual ~RandomAccessFile() = default;
  RandomAccessFile(const RandomAccessFile&) = delete;
  RandomAccessFile& operator=(const RandomAccessFile&) = delete;

  // Of the open file, whatever has its name now.
  virtual IoResult<FileStatus> status() = 0;
  // Fills the buffer from this offset on; the value is the number of bytes read, fewer only at the
  // end of the file. Safe to call from several threads.
  virtual IoResult<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> buffer) = 0;
};

using OpenedFile = IoResult<std::unique_ptr<RandomAccessFile>>;
using OpenFile = std::function<OpenedFile(const std::string& path)>;

// Read-only. A symbolic link as the last part of the path is not followed (ELOOP); a FIFO does not
// block. Other kinds of files are opened: ask for the status.
OpenedFile open_random_access(const std::string& path);

}  // namespace fourge::cache
