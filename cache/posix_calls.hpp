// What the parts of PosixFileSystem share: modes of new files, and calls that are made again.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cerrno>

#include "cache/file_system.hpp"

namespace fourge::cache {

inline constexpr mode_t kFileMode = 0600;
inline constexpr mode_t kDirectoryMode = 0700;
inline constexpr mode_t kSharedFileMode = 0660;
inline constexpr mode_t kSharedDirectoryMode = 0770;

// The call: -1 and errno on failure, as a system call.
template <typename Call>
auto retry_interrupted(const Call& call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

// The operation: an IoStatus or IoResult. A stale handle of a network file system is worth one more
// attempt from the root.
template <typename Operation>
auto again_if_stale(const Operation& operation) {
  auto result = operation();
  if (result.error == ESTALE) result = operation();
  return result;
}

FileStatus status_of(const struct stat& data);

// Gives a new file or directory to the group that shares the root. If that is not allowed, it is
// nobody's but ours: the mode that it was made with was meant for that group.
// A null root, or one without a group: nothing is done.
void give_to_group(int descriptor, const Root* root, mode_t extra);

}  // namespace fourge::cache
