#include "cache/posix_calls.hpp"

#include <unistd.h>

#include <chrono>

namespace fourge::cache {

FileStatus status_of(const struct stat& data) {
  FileStatus status;
  if (S_ISREG(data.st_mode)) {
    status.type = FileType::regular;
  } else if (S_ISDIR(data.st_mode)) {
    status.type = FileType::directory;
  } else if (S_ISLNK(data.st_mode)) {
    status.type = FileType::symbolic_link;
  }
  status.size = static_cast<std::uint64_t>(data.st_size);
  status.modified = std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::seconds(data.st_mtim.tv_sec) +
          std::chrono::nanoseconds(data.st_mtim.tv_nsec)));
  status.mode = static_cast<std::uint32_t>(data.st_mode & 07777U);
  status.owner = data.st_uid;
  status.group = data.st_gid;
  status.device = static_cast<std::uint64_t>(data.st_dev);
  status.inode = static_cast<std::uint64_t>(data.st_ino);
  return status;
}

void give_to_group(int descriptor, const Root* root, mode_t extra) {
  if (root == nullptr || !root->trust.group) return;
  struct stat data {};
  if (::fstat(descriptor, &data) != 0) return;
  const mode_t mode = data.st_mode & 07777U;
  const bool ours = data.st_gid == *root->trust.group ||
                    ::fchown(descriptor, static_cast<uid_t>(-1), *root->trust.group) == 0;
  const mode_t wanted = ours ? (mode | extra) : (mode & kDirectoryMode);
  if (wanted != mode) static_cast<void>(::fchmod(descriptor, wanted));
}

}  // namespace fourge::cache
