#include "runtime/worker/worker_command.hpp"

#include "cache/compile_slots.hpp"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace fourge::worker {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProgram = "fourge";
constexpr std::uint64_t kMostMemory = std::uint64_t{4} << 30U;

// What the options decide, so that the environment must not.
constexpr std::array<std::string_view, 10> kDecided{
    "FOURGE_CACHE_DIR=",         "FOURGE_CACHE_READ_ONLY=", "FOURGE_CACHE_LIMIT=",
    "FOURGE_CACHE_GROUP=",       "FOURGE_COMPILE_SLOTS=",   "FOURGE_FAILURE_MEMORY=",
    "FOURGE_BUNDLE_PUBLIC_KEY=", "FOURGE_NVRTC=",           "FOURGE_HISTORY=",
    "XDG_RUNTIME_DIR="};

std::vector<std::string> environment_of(const Options& options) {
  std::vector<std::string> environment;
  for (const std::string& variable : options.worker_environment) {
    const bool decided = std::any_of(kDecided.begin(), kDecided.end(), [&](std::string_view name) {
      return variable.rfind(name, 0) == 0;
    });
    if (!decided) {
      environment.push_back(variable);
    }
  }
  const auto set = [&environment](const std::string& name, const std::string& value) {
    if (!value.empty()) {
      environment.push_back(name + '=' + value);
    }
  };
  set("FOURGE_CACHE_LIMIT", std::to_string(options.cache_byte_limit));
  set("FOURGE_CACHE_GROUP", options.trusted_group);
  set("FOURGE_COMPILE_SLOTS", std::to_string(std::min<std::size_t>(options.compile_slots, 1024)));
  set("FOURGE_FAILURE_MEMORY", std::to_string(options.failure_memory.count()));
  set("FOURGE_BUNDLE_PUBLIC_KEY", options.bundle_public_key);
  set("XDG_RUNTIME_DIR", options.runtime_directory);
  set("CUDA_HOME", options.cuda_home);
  return environment;
}

bool is_program(const fs::path& path) {
  struct stat data {};
  return ::stat(path.c_str(), &data) == 0 && S_ISREG(data.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

// Of the file that this code is in: libfourge.so, or the program.
fs::path own_directory() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&find_worker_program), &info) == 0 ||
      info.dli_fname == nullptr) {
    return {};
  }
  std::error_code ignored;
  const fs::path file = fs::canonical(info.dli_fname, ignored);
  return file.parent_path();
}

}  // namespace

WorkerSettings worker_settings(const Options& options, std::size_t workers,
                               const std::string& log_level) {
  WorkerSettings settings;
  settings.command = {options.worker_program, "worker", "--log", log_level};
  auto& command = settings.command;
  if (options.cache_directory.empty()) {
    command.emplace_back("--no-cache");
  } else {
    command.insert(command.end(), {"--cache-dir", options.cache_directory});
  }
  for (const std::string& path : options.cache_read_only) {
    command.insert(command.end(), {"--cache-read-only", path});
  }
  if (options.retry_failed) {
    command.emplace_back("--retry-failed");
  }
  // What says nothing new is left out.
  const Options usual;
  if (!options.cache_promote) {
    command.emplace_back("--no-promote");
  }
  if (options.compile_wait != usual.compile_wait) {
    command.insert(command.end(), {"--compile-wait", std::to_string(options.compile_wait.count())});
  }
  if (options.stuck_after != usual.stuck_after) {
    command.insert(command.end(), {"--stuck-after", std::to_string(options.stuck_after.count())});
  }
  if (!options.nvrtc_library.empty()) {
    command.insert(command.end(), {"--nvrtc", options.nvrtc_library});
  }
  settings.environment = environment_of(options);
  settings.deadline = options.worker_deadline;
  settings.memory_bytes = options.worker_memory_bytes == 0 ? default_worker_memory(workers)
                                                           : options.worker_memory_bytes;
  return settings;
}

std::size_t default_workers(const Options& options) {
  return options.compile_slots != 0 ? options.compile_slots : cache::default_compile_slots();
}

std::uint64_t default_worker_memory(std::size_t workers) {
  return std::clamp<std::uint64_t>(cache::usable_memory() / 4 * 3 / workers,
                                   cache::kBytesPerCompile, kMostMemory);
}

std::string find_worker_program(const std::string& path_list) {
  std::vector<fs::path> directories;
  if (const fs::path own = own_directory(); !own.empty()) {
    directories = {own, own.parent_path() / "bin", own.parent_path().parent_path() / "bin"};
  }
  std::string_view rest = path_list;
  while (!rest.empty()) {
    const std::string_view part = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    if (!part.empty() && part.front() == '/') {
      directories.emplace_back(part);
    }
  }
  for (const fs::path& directory : directories) {
    if (is_program(directory / kProgram)) {
      return (directory / kProgram).string();
    }
  }
  return {};
}

}  // namespace fourge::worker
