#include "cache/read_only_tier.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <exception>
#include <fourge/error.hpp>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "cache/bundle_reader.hpp"
#include "cache/store_layout.hpp"

namespace fourge::cache {

namespace {

// No memory, no digest: a miss.
template <class Look>
LookupResult miss_instead_of_exception(Look look) noexcept {
  LookupResult result;
  result.cause = MissCause::unreadable;
  try {
    return look();
  } catch (const std::exception& error) {
    try {
      result.detail = error.what();
    } catch (const std::exception&) {
      result.detail.clear();
    }
  }
  return result;
}

LookupResult miss(MissCause cause, std::string detail) {
  LookupResult result;
  result.cause = cause;
  result.detail = std::move(detail);
  return result;
}

class DirectoryTier : public ReadOnlyTier {
 public:
  DirectoryTier(std::string root, const TrustPolicy& trust, FileSystem& files)
      : ReadOnlyTier(TierKind::directory, root),
        root_{std::move(root), trust},
        version_directory_(version_directory(root_.path)),
        files_(files) {
    root_.trust.accept_root = true;
  }

  LookupResult lookup(const CacheKey& key, const EntryCheck& check) noexcept override {
    return miss_instead_of_exception(
        [&] { return read(directory_of(key), key.file_name(), &key, check); });
  }

  LookupResult lookup_request(const CacheKey& key, const EntryCheck& check) noexcept override {
    return miss_instead_of_exception([&] { return find(key, check); });
  }

 private:
  std::string directory_of(const CacheKey& key) const {
    return version_directory_ + '/' + key.directory();
  }

  LookupResult refused(const std::string& path, int error, const std::string& why,
                       bool distrusted) const {
    if (error == ENOENT) return miss(MissCause::absent, "there is no " + path);
    if (distrusted || error == ELOOP) {
      return miss(MissCause::untrusted, fmt::format("{} is not used: {}", path, why));
    }
    return miss(error == EFBIG ? MissCause::corrupt : MissCause::unreadable,
                fmt::format("{} cannot be read: {}", path, why));
  }

  LookupResult read(const std::string& directory, const std::string& name, const CacheKey* key,
                    const EntryCheck& check) {
    const std::string path = directory + '/' + name;
    const auto file = files_.read_file({root_, path}, kMaximumEntryBytes);
    if (!file.ok()) return refused(path, file.error, file.reason(), !file.refused.empty());
    ParseResult parsed = parse_entry(file.value.bytes, key);
    if (!parsed.entry) return miss(parsed.cause, fmt::format("{}: {}", path, parsed.detail));
    if (parsed.entry->file_name() != name) {
      return miss(MissCause::key,
                  fmt::format("{}: it is the entry of key {}", path, parsed.entry->key_hex));
    }
    LookupResult result;
    result.entry = std::move(parsed.entry);
    return checked_entry(std::move(result), check);
  }

  LookupResult find(const CacheKey& key, const EntryCheck& check) {
    const std::string directory = directory_of(key);
    const std::string request = key.request.hex();
    const auto names = files_.list_directory({root_, directory}, request.substr(0, 16));
    if (!names.ok()) {
      return refused(directory, names.error, names.reason(), !names.refused.empty());
    }
    // Its name begins in the same way, but it is not of this request.
    bool other = false;
    const EntryCheck check_all = [&](const Entry& entry) -> std::optional<EntryRefusal> {
      other = entry.request_hex != request;
      return other || !check ? std::nullopt : check(entry);
    };
    LookupResult result =
        miss(MissCause::absent, "there is no entry of this request in " + directory);
    for (const std::string& name : names.value) {
      if (!is_entry_file_name(name)) continue;
      other = false;
      LookupResult found = read(directory, name, nullptr, check_all);
      if (other) continue;
      if (found.entry || result.cause == MissCause::absent) result = std::move(found);
      if (result.entry) break;
    }
    return result;
  }

  Root root_;
  std::string version_directory_;
  FileSystem& files_;
};

class BundleTier : public ReadOnlyTier {
 public:
  BundleTier(std::string path, std::string public_key, const TrustPolicy& trust, OpenFile open_file)
      : ReadOnlyTier(TierKind::bundle, std::move(path)),
        public_key_(std::move(public_key)),
        trust_(trust),
        open_file_(std::move(open_file)) {
    trust_.accept_root = true;
  }

  LookupResult lookup(const CacheKey& key, const EntryCheck& check) noexcept override {
    return miss_instead_of_exception([&] {
      BundleReader* const bundle = opened();
      return bundle != nullptr ? bundle->lookup(key, check) : refusal();
    });
  }

  LookupResult lookup_request(const CacheKey& key, const EntryCheck& check) noexcept override {
    return miss_instead_of_exception([&] {
      BundleReader* const bundle = opened();
      return bundle != nullptr ? bundle->lookup_request(key, check) : refusal();
    });
  }

 private:
  BundleReader* opened() {
    const std::lock_guard lock(mutex_);
    if (reader_ || (cause_ && *cause_ != MissCause::absent && *cause_ != MissCause::unreadable)) {
      return reader_.get();
    }
    std::optional<PublicKey> key;
    if (!public_key_.empty()) {
      try {
        key.emplace(PublicKey::from_pem(load_pem(public_key_)));
      } catch (const std::exception& error) {
        // A key that cannot be read may be there later; one that is none stays that.
        const auto* const known = dynamic_cast<const Error*>(&error);
        cause_ = known != nullptr && known->kind() == ErrorKind::io ? MissCause::unreadable
                                                                    : MissCause::untrusted;
        detail_ = fmt::format("{} is not used: the public key for bundles is set, but {}", path(),
                              error.what());
        return nullptr;
      }
    }
    BundleReader::Opened result =
        BundleReader::open(path(), key ? &*key : nullptr, trust_, open_file_);
    cause_ = result.cause;
    detail_ = std::move(result.detail);
    reader_ = std::move(result.reader);
    return reader_.get();
  }

  LookupResult refusal() {
    const std::lock_guard lock(mutex_);
    return miss(cause_.value_or(MissCause::unreadable), detail_);
  }

  const std::string public_key_;
  TrustPolicy trust_;
  const OpenFile open_file_;
  std::mutex mutex_;
  std::unique_ptr<BundleReader> reader_;
  std::optional<MissCause> cause_;  // of the last attempt to open it
  std::string detail_;
};

}  // namespace

const char* to_string(TierKind kind) noexcept {
  switch (kind) {
    case TierKind::local:
      return "local";
    case TierKind::directory:
      return "directory";
    case TierKind::bundle:
      break;
  }
  return "bundle";
}

std::unique_ptr<ReadOnlyTier> make_directory_tier(std::string root, const TrustPolicy& trust,
                                                  FileSystem& files) {
  return std::make_unique<DirectoryTier>(std::move(root), trust, files);
}

std::unique_ptr<ReadOnlyTier> make_bundle_tier(std::string path, std::string public_key,
                                               const TrustPolicy& trust, OpenFile open_file) {
  return std::make_unique<BundleTier>(std::move(path), std::move(public_key), trust,
                                      std::move(open_file));
}

std::unique_ptr<ReadOnlyTier> make_read_only_tier(const std::string& path,
                                                  const std::string& bundle_public_key,
                                                  const TrustPolicy& trust, FileSystem& files) {
  if (path.ends_with(kBundleSuffix)) return make_bundle_tier(path, bundle_public_key, trust);
  return make_directory_tier(path, trust, files);
}

}  // namespace fourge::cache
