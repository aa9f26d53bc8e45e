#include "tools/host_batches.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string_view>

namespace fourge::tools {
namespace {

namespace fs = std::filesystem;

bool is_hash(const std::string& text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return text.size() == 64 && text.find_first_not_of(kDigits) == std::string::npos;
}

// Calls take for each file of a batch; it counts unless take says no.
HostBatches visit(const std::string& cache_directory,
                  const std::function<bool(const fs::path&)>& take) {
  HostBatches batches;
  std::error_code error;
  const fs::path directory = fs::path(cache_directory) / "host";
  if (cache_directory.empty() || fs::is_symlink(directory, error)) {
    return batches;
  }
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    const fs::path& path = entry->path();
    const bool reference = path.extension() == ".ref";
    if (!is_hash(path.stem().string()) || (!reference && path.extension() != ".so") ||
        entry->symlink_status(ignored).type() != fs::file_type::regular) {
      continue;
    }
    const std::uintmax_t bytes = entry->file_size(ignored);
    if (ignored || !take(path)) {
      continue;
    }
    ++(reference ? batches.kernels : batches.objects);
    batches.bytes += bytes;
  }
  return batches;
}

}  // namespace

HostBatches count_host_batches(const std::string& cache_directory) {
  return visit(cache_directory, [](const fs::path&) { return true; });
}

HostBatches remove_host_batches(const std::string& cache_directory) {
  const HostBatches removed = visit(cache_directory, [](const fs::path& path) {
    std::error_code ignored;
    return fs::remove(path, ignored);
  });
  std::error_code ignored;
  if (!cache_directory.empty()) {
    fs::remove(fs::path(cache_directory) / "host", ignored);  // only if it is empty now
  }
  return removed;
}

}  // namespace fourge::tools
