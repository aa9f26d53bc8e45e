#include "runtime/failed_source.hpp"

#include <unistd.h>
#include <filesystem>
#include <fstream>

namespace fourge {
namespace {

bool write(const std::filesystem::path& path, const std::string& text) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  fs::permissions(path.parent_path(), fs::perms::owner_all, error);
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.flush();
  return file.good();
}

}  // namespace

std::string keep_failed_source(const std::string& cache_directory, const std::string& entry_name,
                               const std::string& key_hex, const std::string& source) noexcept {
  try {
    namespace fs = std::filesystem;
    const std::string name = entry_name + "-" + key_hex.substr(0, 16) + ".cu";
    if (!cache_directory.empty()) {
      const auto path = fs::path(cache_directory) / "failed" / name;
      if (write(path, source)) {
        return path.string();
      }
    }
    const auto path =
        fs::temp_directory_path() / ("fourge-failed-" + std::to_string(getuid())) / name;
    return write(path, source) ? path.string() : std::string();
  } catch (...) {
    return {};  // the compile error itself matters more
  }
}

}  // namespace fourge
