#include "cache/trust.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <fourge/error.hpp>
#include <limits>
#include <vector>

#include "cache/file_system.hpp"

namespace fourge::cache {

namespace {

constexpr std::uint32_t kGroupWrites = 0020;
constexpr std::uint32_t kOthersWrite = 0002;
constexpr std::size_t kLargestGroupRecord = 16U << 20U;

}  // namespace

std::uint32_t effective_user() noexcept { return ::geteuid(); }

std::string distrust(const TrustPolicy& policy, const FileStatus& status, const std::string& path) {
  const bool trusted_group = policy.group && *policy.group == status.group;
  const bool trusted_owner =
      status.owner == policy.owner || trusted_group || (policy.accept_root && status.owner == 0);
  const auto explain = [&](const std::string& what, const std::string& remedy) {
    return fmt::format("{} is not trusted: {} (mode {:04o}, owner {}, group {}); {}", path, what,
                       status.mode, status.owner, status.group, remedy);
  };
  if (!trusted_owner) {
    return explain(fmt::format("it belongs to user {}, this process acts as user {}", status.owner,
                               policy.owner),
                   "choose a cache directory of your own, or name the group that may share it "
                   "(FOURGE_CACHE_GROUP, Options::trusted_group)");
  }
  if (status.type == FileType::symbolic_link) return {};
  if ((status.mode & kOthersWrite) != 0) {
    return explain("everyone may write it", fmt::format("take that away: chmod go-w '{}'", path));
  }
  if ((status.mode & kGroupWrites) != 0 && !trusted_group) {
    return explain(fmt::format("group {} may write it", status.group),
                   fmt::format("take that away: chmod g-w '{}', or name the group that may "
                               "(FOURGE_CACHE_GROUP, Options::trusted_group)",
                               path));
  }
  return {};
}

std::uint32_t find_group(const std::string& name_or_number) {
  const char* const end = name_or_number.data() + name_or_number.size();
  std::uint32_t number = 0;
  const auto parsed = std::from_chars(name_or_number.data(), end, number);
  // The largest number means "no group" to the system.
  if (parsed.ec == std::errc() && parsed.ptr == end &&
      number != std::numeric_limits<std::uint32_t>::max()) {
    return number;
  }
  struct group record {};
  struct group* found = nullptr;
  std::vector<char> buffer(1024);
  int error = ERANGE;
  while (error == ERANGE && buffer.size() <= kLargestGroupRecord) {
    buffer.resize(buffer.size() * 4);
    error = ::getgrnam_r(name_or_number.c_str(), &record, buffer.data(), buffer.size(), &found);
  }
  if (found != nullptr) return record.gr_gid;
  throw Error(
      ErrorKind::invalid_argument,
      fmt::format("there is no group '{}' on this host{}; give the name or number of a "
                  "group in FOURGE_CACHE_GROUP (Options::trusted_group), or leave it empty",
                  name_or_number, error == 0 ? std::string() : " (" + describe_errno(error) + ')'));
}

}  // namespace fourge::cache
