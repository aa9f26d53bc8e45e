#include "runtime/host/object_store.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fourge/error.hpp>
#include <string_view>

#include "cache/digest.hpp"
#include "runtime/host/files.hpp"

namespace fourge::host {

namespace {

constexpr std::string_view kReferencePrefix = "fourge-host 1 ";
constexpr std::size_t kDigestLength = 64;
constexpr std::size_t kMostReferenceBytes = 4096;
constexpr std::size_t kMostObjectBytes = std::size_t{1} << 30U;

}  // namespace

std::string ObjectStore::reference_path(const std::string& key) const {
  return root_.path + "/" + key + ".ref";
}

std::string ObjectStore::object_path(const std::string& digest) const {
  return root_.path + "/" + digest + ".so";
}

std::optional<std::string> ObjectStore::find(const std::string& key) const {
  const auto read = cache::posix_file_system().read_file(
      cache::FilePath(root_, reference_path(key)), kMostReferenceBytes);
  const std::string text(reinterpret_cast<const char*>(read.value.bytes.data()),
                         read.value.bytes.size());
  if (!read.ok() || text.size() != kReferencePrefix.size() + kDigestLength + 1 ||
      text.compare(0, kReferencePrefix.size(), kReferencePrefix) != 0 || text.back() != '\n') {
    return std::nullopt;
  }
  std::string digest = text.substr(kReferencePrefix.size(), kDigestLength);
  if (digest.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return std::nullopt;
  }
  return digest;
}

std::string ObjectStore::problem_of(const std::string& digest) const {
  const auto read = cache::posix_file_system().read_file(
      cache::FilePath(root_, object_path(digest)), kMostObjectBytes);
  if (!read.ok()) {
    return read.reason();
  }
  return cache::sha256(read.value.bytes).hex() == digest
             ? std::string()
             : "its bytes are not those that its name promises";
}

void ObjectStore::publish(const std::string& from, const std::string& to) const {
  mode_t mode = 0600;
  if (root_.trust.group) {
    // What another group may write, nobody of this one would take.
    struct stat status {};
    static_cast<void>(::chown(from.c_str(), static_cast<uid_t>(-1), *root_.trust.group));
    if (::stat(from.c_str(), &status) == 0 && status.st_gid == *root_.trust.group) {
      mode = 0660;
    }
  }
  if (::chmod(from.c_str(), mode) != 0) {
    throw Error(ErrorKind::io, fmt::format("host execution: cannot take permissions of {} away: {}",
                                           from, std::strerror(errno)));
  }
  publish_file(from, to);
}

std::string ObjectStore::publish_object(const std::string& path) const {
  const auto bytes = read_file(path);
  if (!bytes) {
    throw Error(ErrorKind::io, "host execution: cannot read " + path);
  }
  std::string digest = cache::sha256(*bytes).hex();
  publish(path, object_path(digest));
  return digest;
}

void ObjectStore::publish_reference(const std::string& key, const std::string& digest,
                                    const std::string& scratch) const {
  const std::string temporary = scratch + "/" + key + ".ref";
  write_file(temporary, std::string(kReferencePrefix) + digest + "\n");
  publish(temporary, reference_path(key));
}

void ObjectStore::remove_object(const std::string& digest) const noexcept {
  unlink(object_path(digest).c_str());
}

}  // namespace fourge::host
