#include "cache/bundle_import.hpp"

#include <fmt/format.h>

#include <utility>

namespace fourge::cache {

ImportReport import_bundle(BundleReader& bundle, TieredCache& store) {
  ImportReport report;
  for (std::size_t i = 0; i < bundle.size(); ++i) {
    LookupResult found = bundle.entry(i);
    if (!found.entry) {
      report.failure = fmt::format("a bad entry ({}): {}", to_string(found.cause), found.detail);
      return report;
    }
    const CacheKey key{bundle.item(i).request, bundle.item(i).full, found.entry->record};
    if (store.lookup(key).entry) {
      ++report.present;
      continue;
    }
    PublishResult published = store.publish(key, found.entry->payload);
    if (!published.ok) {
      report.failure = std::move(published.detail);
      return report;
    }
    ++report.imported;
  }
  return report;
}

}  // namespace fourge::cache
