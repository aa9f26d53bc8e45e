#include "jit/nvrtc_location.hpp"

#include "jit/build_id.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <link.h>
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string_view>

namespace fourge::jit {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNames[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};

constexpr std::string_view kInclude = "include";

// Directories of ld.so.conf and the files it includes; patterns are used in their last part only.
void append_loader_config(const fs::path& file, std::vector<std::string>& directories, int depth) {
  std::ifstream input(file);
  std::string line;
  while (depth < 8 && std::getline(input, line)) {
    line.erase(std::find(line.begin(), line.end(), '#'), line.end());
    line.erase(0, line.find_first_not_of(" \t"));
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (line.starts_with(kInclude) && line.size() > kInclude.size() &&
        (line[kInclude.size()] == ' ' || line[kInclude.size()] == '\t')) {
      fs::path pattern = line.substr(line.find_first_not_of(" \t", kInclude.size()));
      if (pattern.is_relative()) {
        pattern = file.parent_path() / pattern;  // as the loader does
      }
      std::error_code ignored;
      std::vector<fs::path> files;
      for (const auto& entry : fs::directory_iterator(pattern.parent_path(), ignored)) {
        if (entry.path().extension() == pattern.extension()) {
          files.push_back(entry.path());
        }
      }
      std::sort(files.begin(), files.end());
      for (const auto& included : files) {
        append_loader_config(included, directories, depth + 1);
      }
    } else if (!line.empty() && line[0] == '/') {
      directories.push_back(line);
    }
  }
}

// What dlopen of a bare name would search from this library: LD_LIBRARY_PATH as it was at program
// start, run paths and the defaults, as the loader itself tells, then the directories of its cache.
std::vector<std::string> loader_directories() {
  std::vector<std::string> directories;
  if (void* self = dlopen(nullptr, RTLD_LAZY)) {
    Dl_serinfo size{};
    if (dlinfo(self, RTLD_DI_SERINFOSIZE, &size) == 0) {
      std::vector<std::uint64_t> storage(size.dls_size / sizeof(std::uint64_t) + 1);
      auto* info = reinterpret_cast<Dl_serinfo*>(storage.data());
      info->dls_size = size.dls_size;
      info->dls_cnt = size.dls_cnt;
      if (dlinfo(self, RTLD_DI_SERINFO, info) == 0) {
        for (unsigned i = 0; i < info->dls_cnt; ++i) {
          directories.emplace_back(info->dls_serpath[i].dls_name);
        }
      }
    }
    dlclose(self);
  }
  for (std::string& directory : loader_config_directories("/etc/ld.so.conf")) {
    directories.push_back(std::move(directory));
  }
  return directories;
}

std::optional<std::string> library_in(const std::string& directory) {
  std::error_code ignored;
  for (const char* name : kNames) {
    const fs::path path = fs::path(directory) / name;
    if (fs::is_regular_file(path, ignored)) {
      return path.string();
    }
  }
  return std::nullopt;
}

// Without a build id, size and name of the real file have to do.
std::string identity_of(const fs::path& file) {
  if (const auto id = read_build_id(file.string())) {
    return *id;
  }
  std::error_code ignored;
  return fmt::format("{}-{}", file.filename().string(), fs::file_size(file, ignored));
}

// With readdir: a toolkit's directory has hundreds of files, and std::filesystem makes a path of each, which
// a fresh process notices.
std::vector<std::string> names_in(const std::string& directory, std::string_view prefix) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), ::closedir);
  while (const dirent* entry = open ? ::readdir(open.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    if (name.substr(0, prefix.size()) == prefix) {
      names.emplace_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string build_identity_of(const std::string& path) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) {
    return identity_of(path);
  }
  std::string identity = "nvrtc:" + identity_of(real);
  // Nvrtc has it take the device-side builtins from its own directory.
  const fs::path directory = real.parent_path();
  for (const auto& name : names_in(directory.string(), "libnvrtc-builtins.so.")) {
    const fs::path file = directory / name;
    if (!fs::is_symlink(file, error)) {
      identity += "+builtins:" + identity_of(file);
    }
  }
  return identity;
}

std::string builtins_beside(const std::string& library, int major, int minor) {
  std::error_code error;
  const fs::path real = fs::canonical(library, error);
  const std::string directory = real.parent_path().string();
  const std::string soname = fmt::format("libnvrtc-builtins.so.{}.{}", major, minor);
  for (const std::string& name : error ? std::vector<std::string>() : names_in(directory, soname)) {
    if (name.size() == soname.size() || name[soname.size()] == '.') {
      return directory + '/' + name;
    }
  }
  return {};
}

std::vector<std::string> loader_config_directories(const std::string& file) {
  std::vector<std::string> directories;
  append_loader_config(file, directories, 0);
  return directories;
}

NvrtcLocation locate_nvrtc(const NvrtcSearch& search) {
  NvrtcLocation location;
  std::vector<std::string> directories;
  if (!search.library.empty()) {
    std::error_code ignored;
    if (fs::is_directory(search.library, ignored)) {
      directories.push_back(search.library);
    } else {
      location.searched.push_back(search.library);
      location.path = fs::is_regular_file(search.library, ignored) ? search.library : "";
    }
  } else {
    directories = loader_directories();
    if (!search.cuda_home.empty()) {
      directories.push_back(search.cuda_home + "/lib64");
      directories.push_back(search.cuda_home + "/lib");
    }
    directories.emplace_back("/usr/local/cuda/lib64");
    directories.emplace_back("/usr/local/cuda/lib");
  }
  for (const std::string& directory : directories) {
    if (location.found()) {
      break;
    }
    if (std::find(location.searched.begin(), location.searched.end(), directory) !=
        location.searched.end()) {
      continue;
    }
    location.searched.push_back(directory);
    location.path = library_in(directory).value_or("");
  }
  if (location.found()) {
    location.build_identity = build_identity_of(location.path);
  }
  return location;
}

std::string nvrtc_missing_message(const NvrtcLocation& location) {
  return fmt::format(
      "libnvrtc was not found (searched: {}). Install the CUDA toolkit 12.9 or later, or the "
      "Python "
      "package nvidia-cuda-nvrtc, and set FOURGE_NVRTC (or Options::nvrtc_library) to the "
      "library's "
      "path if it lies elsewhere.",
      fmt::join(location.searched, ", "));
}

}  // namespace fourge::jit
