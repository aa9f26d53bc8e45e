// Every entry of every place that a look-up would ask: the cache directory, then the read-only tiers.
#pragma once

#include <fourge/options.hpp>

#include <string>
#include <vector>

#include "cache/disk_store.hpp"
#include "cache/read_only_tier.hpp"

namespace fourge::tools {

struct TierEntry {
  cache::EntryInfo info;  // path: of the bundle, if it lies in one
  std::string request;    // the first 16 digits of its request digest
};

struct TierContents {
  cache::TierKind kind = cache::TierKind::local;
  std::string path;
  std::vector<TierEntry> entries;
  std::string refused;  // why nothing in it is used; empty if all is well
};

// In the order of a look-up. Reads and verifies every entry and changes nothing. A read-only tier that
// is missing, and a place that is not trusted or cannot be read, says so in `refused`; a cache directory that does not
// exist is empty.
std::vector<TierContents> read_all_tiers(const Options& options);

}  // namespace fourge::tools
