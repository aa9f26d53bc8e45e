#include "tools/cache_access.hpp"

#include <fourge/error.hpp>

namespace fourge::tools {

Options options_with_cache(const CommonOptions& common) {
  Options options = library_options(common);
  if (options.cache_directory.empty()) {
    throw Error(ErrorKind::unsupported,
                "there is no cache directory; give --cache-dir DIR or set FOURGE_CACHE_DIR");
  }
  return options;
}

cache::TrustPolicy trust_of(const Options& options) {
  cache::TrustPolicy trust;
  if (!options.trusted_group.empty()) {
    trust.group = cache::find_group(options.trusted_group);
  }
  return trust;
}

}  // namespace fourge::tools
