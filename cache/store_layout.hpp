// How entries lie below a cache root. A change of this or of kEntryFormat gets a directory of its own, so
// that programs of several versions use one root and never see one another's entries.
//
//   ROOT/vN/AB/CD/NAME.fourge     N: kStoreLayout; AB, CD: CacheKey::directory(); NAME: cache/key.hpp
//   ROOT/vN/quarantine/           cache/quarantine.hpp
//   ROOT/usage/sizes.vN           cache/evictor.hpp
//
// Version history of kStoreLayout:
//   1  ROOT/v1/AB/NAME.fourge and ROOT/usage/sizes. A look-up by request listed AB, which took longer the
//      more entries there were. Not read any more; DiskStore::clear() removes it.
//   2  as above: CD holds one entry, or a few, up to 10^5 entries and beyond
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/digest.hpp"

namespace fourge::cache {

inline constexpr std::uint32_t kStoreLayout = 2;

inline std::string version_directory(const std::string& root) {
  return root + "/v" + std::to_string(kStoreLayout);
}

// Whether AB or CD may have this name.
inline bool is_shard_name(std::string_view name) noexcept {
  return name.size() == 2 && is_lower_hex(name);
}

}  // namespace fourge::cache
