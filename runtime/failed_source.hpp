// Keeps the source of a failed compile where a person can look at it.
#pragma once

#include "cache/trust.hpp"

#include <cstddef>
#include <string>

namespace fourge {

// The newest ones stay.
inline constexpr std::size_t kFailedSources = 64;

// Writes <cache_directory>/failed/<entry>-<key>.cu, or below the temporary directory when there is
// no cache directory or it cannot be written, or is not to be trusted. Returns the path; empty if
// neither can be written.
std::string keep_failed_source(const std::string& cache_directory, const cache::TrustPolicy& trust,
                               const std::string& entry_name, const std::string& key_hex,
                               const std::string& source) noexcept;

}  // namespace fourge
