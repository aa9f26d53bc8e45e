#include "runtime/failed_source.hpp"

#include "cache/file_system.hpp"

#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace fourge {
namespace {

using cache::FilePath;
using cache::FileSystem;
using cache::Root;

// ENTRY-KEY.cu, with 16 digits of the key.
bool is_ours(std::string_view name) {
  constexpr std::size_t kDigits = 16;
  constexpr std::string_view kSuffix = ".cu";
  if (!name.ends_with(kSuffix)) return false;
  name.remove_suffix(kSuffix.size());
  const std::size_t dash = name.rfind('-');
  return dash != std::string_view::npos && name.size() - dash - 1 == kDigits &&
         name.find_first_not_of("0123456789abcdef", dash + 1) == std::string_view::npos;
}

void prune(const Root& root, const std::string& directory) {
  FileSystem& files = cache::posix_file_system();
  std::vector<std::pair<std::chrono::system_clock::time_point, std::string>> sources;
  const auto names = files.list_directory(FilePath(root, directory));
  for (const std::string& name : names.ok() ? names.value : std::vector<std::string>()) {
    const std::string path = directory + '/' + name;
    const auto status = files.status(FilePath(root, path));
    if (is_ours(name) && status.ok()) {
      sources.emplace_back(status.value.modified, path);
    }
  }
  std::sort(sources.rbegin(), sources.rend());
  for (std::size_t i = kFailedSources; i < sources.size(); ++i) {
    static_cast<void>(files.remove(FilePath(root, sources[i].second)));
  }
}

// Nothing depends on what the file holds, so a torn one is not worth a rename.
bool write(const Root& root, const std::string& directory, const std::string& name,
           const std::string& source) {
  FileSystem& files = cache::posix_file_system();
  if (!files.make_directories(FilePath(root, directory)).ok()) {
    return false;
  }
  const FilePath path(root, directory + '/' + name);
  const auto bytes = std::as_bytes(std::span(source.data(), source.size()));
  const cache::IoStatus written = files.write_new_file(path, bytes);
  // The name holds the key, and that the source: another process was quicker.
  if (!written.ok() && written.error != EEXIST) {
    return false;
  }
  prune(root, directory);
  return true;
}

}  // namespace

std::string keep_failed_source(const std::string& cache_directory, const cache::TrustPolicy& trust,
                               const std::string& entry_name, const std::string& key_hex,
                               const std::string& source) noexcept {
  try {
    const std::string name = entry_name + "-" + key_hex.substr(0, 16) + ".cu";
    if (!cache_directory.empty()) {
      const Root root{cache_directory, trust};
      const std::string directory = cache_directory + "/failed";
      if (write(root, directory, name, source)) {
        return directory + '/' + name;
      }
    }
    const std::string directory =
        (std::filesystem::temp_directory_path() / ("fourge-failed-" + std::to_string(::geteuid())))
            .string();
    const Root root{directory, {}, false};  // anybody may have made the name
    return write(root, directory, name, source) ? directory + '/' + name : std::string();
  } catch (...) {
    return {};  // the compile error itself matters more
  }
}

}  // namespace fourge
