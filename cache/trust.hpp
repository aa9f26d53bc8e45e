// Whose files are believed.
//
// Whoever can write the cache decides what code runs, so a root, each directory below it and each
// entry must belong to the user and be writable by nobody else. A group may be named whose members
// trust one another: then what belongs to that group may be written by it and owned by any of its
// members (only a member or the administrator can give a file to a group). Access control lists
// need no look: what they allow to write shows as the group's bits of the mode.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace fourge::cache {

struct FileStatus;

// The user that this process acts as.
std::uint32_t effective_user() noexcept;

struct TrustPolicy {
  std::uint32_t owner = effective_user();
  std::optional<std::uint32_t> group;
  // For what is only read: the administrator's files (an image's baked cache) are good as well.
  bool accept_root = false;
};

// Why the thing at `path` with this status is not to be believed: path, mode, owner and what to do.
// Empty if it is. The mode of a symbolic link means nothing and is not judged.
std::string distrust(const TrustPolicy& policy, const FileStatus& status, const std::string& path);

// A group's number from its name or number. Throws Error(invalid_argument) if there is none.
std::uint32_t find_group(const std::string& name_or_number);

}  // namespace fourge::cache
