#include "tools/tier_entries.hpp"

#include <fourge/error.hpp>

#include <filesystem>
#include <optional>
#include <utility>

#include "cache/bundle_reader.hpp"
#include "cache/signature.hpp"
#include "tools/cache_access.hpp"

namespace fourge::tools {
namespace {

constexpr std::size_t kRequestDigits = 16;

TierContents read_directory(cache::TierKind kind, const std::string& path,
                            const cache::TrustPolicy& trust) {
  TierContents contents{kind, path, {}, {}};
  cache::DiskStore store(path, cache::posix_file_system(), trust);
  for (cache::EntryInfo& info : store.list()) {
    std::string request = info.path.substr(info.path.rfind('/') + 1, kRequestDigits);
    contents.entries.push_back({std::move(info), std::move(request)});
  }
  return contents;
}

TierContents read_bundle(const std::string& path, const std::string& public_key,
                         const cache::TrustPolicy& trust) {
  TierContents contents{cache::TierKind::bundle, path, {}, {}};
  std::optional<cache::PublicKey> key;
  if (!public_key.empty()) {
    key.emplace(cache::PublicKey::from_pem(cache::load_pem(public_key)));
  }
  const auto opened = cache::BundleReader::open(path, key ? &*key : nullptr, trust);
  if (!opened.reader) {
    contents.refused = opened.detail;
    return contents;
  }
  for (std::size_t i = 0; i < opened.reader->size(); ++i) {
    const cache::BundleItem& item = opened.reader->item(i);
    cache::LookupResult found = opened.reader->entry(i);
    cache::EntryInfo info;
    info.path = path;
    info.key_hex = item.full.hex();
    info.file_bytes = item.length;
    info.valid = found.entry.has_value();
    if (found.entry) {
      info.record = std::move(found.entry->record);
      info.payload_bytes = found.entry->payload.size();
    } else {
      info.cause = found.cause;
      info.detail = std::move(found.detail);
    }
    contents.entries.push_back({std::move(info), item.request.hex().substr(0, kRequestDigits)});
  }
  return contents;
}

}  // namespace

std::vector<TierContents> read_all_tiers(const Options& options) {
  std::vector<TierContents> tiers;
  cache::TrustPolicy trust = trust_of(options);
  if (!options.cache_directory.empty()) {
    try {
      tiers.push_back(read_directory(cache::TierKind::local, options.cache_directory, trust));
    } catch (const Error& error) {
      tiers.push_back({cache::TierKind::local, options.cache_directory, {}, error.what()});
    }
  }
  trust.accept_root = true;
  for (const std::string& path : options.cache_read_only) {
    const bool bundle = path.ends_with(cache::kBundleSuffix);
    const auto kind = bundle ? cache::TierKind::bundle : cache::TierKind::directory;
    try {
      tiers.push_back(bundle ? read_bundle(path, options.bundle_public_key, trust)
                             : read_directory(kind, path, trust));
      std::error_code ignored;
      if (!bundle && !std::filesystem::exists(path, ignored)) {
        tiers.back().refused = "there is no " + path;
      }
    } catch (const Error& error) {
      tiers.push_back({kind, path, {}, error.what()});
    }
  }
  return tiers;
}

}  // namespace fourge::tools
