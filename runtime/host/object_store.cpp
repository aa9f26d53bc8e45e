#include "runtime/host/object_store.hpp"

#include <unistd.h>

#include <fourge/error.hpp>
#include <string_view>

#include "cache/digest.hpp"
#include "runtime/host/files.hpp"

namespace fourge::host {

namespace {

constexpr std::string_view kReferencePrefix = "fourge-host 1 ";
constexpr std::size_t kDigestLength = 64;

}  // namespace

std::string ObjectStore::reference_path(const std::string& key) const {
  return directory_ + "/" + key + ".ref";
}

std::string ObjectStore::object_path(const std::string& digest) const {
  return directory_ + "/" + digest + ".so";
}

std::optional<std::string> ObjectStore::find(const std::string& key) const {
  const auto text = read_file(reference_path(key));
  if (!text || text->size() != kReferencePrefix.size() + kDigestLength + 1 ||
      text->compare(0, kReferencePrefix.size(), kReferencePrefix) != 0 || text->back() != '\n') {
    return std::nullopt;
  }
  std::string digest = text->substr(kReferencePrefix.size(), kDigestLength);
  if (digest.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return std::nullopt;
  }
  return digest;
}

bool ObjectStore::verify(const std::string& digest) const {
  const auto bytes = read_file(object_path(digest));
  return bytes && cache::sha256(*bytes).hex() == digest;
}

std::string ObjectStore::publish_object(const std::string& path) const {
  const auto bytes = read_file(path);
  if (!bytes) {
    throw Error(ErrorKind::io, "host execution: cannot read " + path);
  }
  std::string digest = cache::sha256(*bytes).hex();
  publish_file(path, object_path(digest));
  return digest;
}

void ObjectStore::publish_reference(const std::string& key, const std::string& digest,
                                    const std::string& scratch) const {
  const std::string temporary = scratch + "/" + key + ".ref";
  write_file(temporary, std::string(kReferencePrefix) + digest + "\n");
  publish_file(temporary, reference_path(key));
}

void ObjectStore::remove_object(const std::string& digest) const noexcept {
  unlink(object_path(digest).c_str());
}

}  // namespace fourge::host
