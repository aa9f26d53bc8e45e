// Copies the entries of a bundle into a store.
#pragma once

#include <cstddef>
#include <string>

#include "cache/bundle_reader.hpp"
#include "cache/tiered_cache.hpp"

namespace fourge::cache {

struct ImportReport {
  std::size_t imported = 0;
  std::size_t present = 0;  // were there, and good
  std::string failure;      // what ended it early; empty if all are in the store now
};

// Each entry appears whole or not at all, so the store is good wherever this ends: at a bad entry of the
// bundle, at one that cannot be published, or by a kill. What is missing comes with the next import.
ImportReport import_bundle(BundleReader& bundle, TieredCache& store);

}  // namespace fourge::cache
