// fourge doctor: what was found on this machine, what is missing, and how to get it.
#include <fourge/device.hpp>
#include <fourge/runtime.hpp>

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "cache/disk_store.hpp"
#include "runtime/worker/child_process.hpp"
#include "tools/cache_access.hpp"
#include "tools/command.hpp"
#include "tools/report.hpp"
#include "tools/tier_entries.hpp"
#include "tools/toolkit.hpp"

namespace fourge::tools {
namespace {

namespace fs = std::filesystem;

struct Finding {
  std::string what;
  std::string how;
};

struct NvrtcState {
  jit::NvrtcLocation location;
  std::string version;  // empty: it does not work
  std::string problem;
};

struct DriverState {
  int version = 0;
  std::string problem;
  std::vector<DeviceInfo> devices;
};

struct CacheState {
  std::string directory;
  bool exists = false;
  bool writable = false;  // or can be created
  unsigned mode = 0;
  unsigned owner = 0;
  std::size_t entries = 0;
  std::size_t bad = 0;
  std::string problem;
};

struct HostCompilerState {
  std::string program;
  std::string path;
  std::string version;  // empty: it does not work
};

NvrtcState examine_nvrtc(const Options& options) {
  NvrtcState state;
  state.location = find_nvrtc(options);
  try {
    state.version = try_nvrtc(state.location);
  } catch (const Error& error) {
    state.problem = error.what();
  }
  return state;
}

DriverState examine_driver() {
  DriverState state;
  state.version = driver_version(&state.problem);
  if (state.version != 0) {
    state.devices = list_devices(&state.problem);
  }
  return state;
}

bool can_be_created(fs::path directory) {
  std::error_code ignored;
  directory = fs::absolute(directory, ignored);
  while (!fs::exists(directory, ignored) && directory.has_relative_path()) {
    directory = directory.parent_path();
  }
  return fs::is_directory(directory, ignored) && ::access(directory.c_str(), W_OK | X_OK) == 0;
}

CacheState examine_cache(const Options& options) {
  CacheState state;
  state.directory = options.cache_directory;
  if (state.directory.empty()) {
    state.problem = "none is configured";
    return state;
  }
  struct stat status {};
  if (::stat(state.directory.c_str(), &status) != 0) {
    state.writable = can_be_created(state.directory);
    return state;
  }
  state.exists = true;
  state.mode = status.st_mode & 07777U;
  state.owner = status.st_uid;
  if (!S_ISDIR(status.st_mode)) {
    state.problem = "it is not a directory";
    return state;
  }
  state.writable = ::access(state.directory.c_str(), W_OK | X_OK) == 0;
  try {
    cache::DiskStore store(state.directory, cache::posix_file_system(), trust_of(options));
    for (const cache::EntryInfo& entry : store.list()) {
      ++(entry.valid ? state.entries : state.bad);
    }
  } catch (const Error& error) {
    state.problem = error.what();
  }
  return state;
}

struct TierState {
  std::string path;
  std::string kind;
  std::size_t entries = 0;
  std::size_t bad = 0;
  std::string problem;
};

std::vector<TierState> examine_tiers(Options options) {
  options.cache_directory.clear();
  std::vector<TierState> states;
  for (const TierContents& tier : read_all_tiers(options)) {
    TierState state{tier.path, to_string(tier.kind), 0, 0, tier.refused};
    for (const TierEntry& entry : tier.entries) {
      ++(entry.info.valid ? state.entries : state.bad);
    }
    states.push_back(std::move(state));
  }
  return states;
}

HostCompilerState examine_host_compiler(const Options& options) {
  HostCompilerState state;
  state.program = options.host_compiler;
  state.path = find_program(state.program);
  if (state.path.empty()) {
    return state;
  }
  const worker::ProgramOutput output = worker::run_program({state.path, "--version"});
  if (output.status == 0) {
    state.version = output.text.substr(0, output.text.find('\n'));
  }
  return state;
}

class Doctor {
 public:
  explicit Doctor(const CommonOptions& common)
      : json_(common.json),
        options_(library_options(common)),
        nvrtc_(examine_nvrtc(options_)),
        driver_(examine_driver()),
        cache_(examine_cache(options_)),
        tiers_(examine_tiers(options_)),
        host_(examine_host_compiler(options_)) {
    for (const DeviceInfo& device : driver_.devices) {
      gpu_ = gpu_ || device.target.has_value();
    }
    if (const auto program = find_disassembler(options_)) {
      disassembler_ = program->path;
    }
    find_missing();
  }

  ExitCode report() const {
    if (json_) {
      print_json(document());
    } else {
      print_text(text());
    }
    return ok() ? ExitCode::ok : ExitCode::environment;
  }

 private:
  bool can_compile() const { return !nvrtc_.version.empty(); }
  bool can_run_on_host() const { return !host_.version.empty(); }
  // Kernels that are there run without a compiler.
  std::size_t prewarmed() const {
    std::size_t entries = cache_.entries;
    for (const TierState& tier : tiers_) entries += tier.entries;
    return entries;
  }
  bool ok() const { return can_compile() ? gpu_ || can_run_on_host() : gpu_ && prewarmed() != 0; }

  void find_missing() {
    if (!can_compile()) {
      missing_.push_back(
          {"NVRTC, to compile kernels",
           "install the CUDA toolkit 12.9 or later, or run tools/quickstart, or `pip "
           "install nvidia-cuda-nvrtc`; then set FOURGE_NVRTC to the library if it "
           "lies elsewhere"});
    }
    if (driver_.version == 0) {
      missing_.push_back({"the CUDA driver, to run kernels on a GPU",
                          "install the NVIDIA driver; in a container, start it with access to "
                          "the GPUs (--gpus all)"});
    } else if (!gpu_) {
      missing_.push_back({"a GPU that fourge knows", "kernels run on the CPU: --device host"});
    }
    if (!can_run_on_host()) {
      missing_.push_back({"a C++ compiler, to run kernels on the CPU",
                          "apt-get install g++, or set FOURGE_HOST_CXX to a compiler"});
    }
    for (const TierState& tier : tiers_) {
      if (!tier.problem.empty()) {
        missing_.push_back(
            {fmt::format("the read-only cache {}, which is configured", tier.path), tier.problem});
      }
    }
    if (cache_.exists && !cache_.problem.empty()) {
      missing_.push_back({"a cache directory that is used, to keep kernels", cache_.problem});
    } else if (!cache_.writable || !cache_.problem.empty()) {
      missing_.push_back({"a cache directory that can be written, to keep kernels",
                          "set FOURGE_CACHE_DIR to a directory of yours"});
    }
    if (disassembler_.empty()) {
      missing_.push_back({"nvdisasm or cuobjdump, for inspect --sass",
                          "install the CUDA toolkit, or set CUDA_HOME"});
    }
  }

  Json document() const {
    Json devices = Json::array();
    for (const DeviceInfo& device : driver_.devices) {
      devices.push_back({{"ordinal", device.ordinal},
                         {"name", device.name},
                         {"uuid", device.uuid},
                         {"compute_capability", fmt::format("{}.{}", device.major, device.minor)},
                         {"multiprocessors", device.multiprocessors},
                         {"memory_bytes", device.memory_bytes},
                         {"target", device.target ? Json(device.target->text()) : Json(nullptr)}});
    }
    Json missing = Json::array();
    for (const Finding& finding : missing_) {
      missing.push_back({{"what", finding.what}, {"how", finding.how}});
    }
    Json document{{"version", FOURGE_VERSION},    {"ok", ok()},
                  {"can_compile", can_compile()}, {"can_run_on_gpu", can_compile() && gpu_},
                  {"prewarmed", prewarmed()},     {"can_run_on_host", can_run_on_host()}};
    document["nvrtc"] = {{"path", nvrtc_.location.path},
                         {"version", nvrtc_.version},
                         {"build_identity", nvrtc_.location.build_identity},
                         {"searched", nvrtc_.location.searched},
                         {"problem", nvrtc_.problem}};
    document["driver"] = {{"version", version_text(driver_.version)}, {"problem", driver_.problem}};
    document["devices"] = devices;
    document["cache"] = {{"directory", cache_.directory},
                         {"exists", cache_.exists},
                         {"writable", cache_.writable},
                         {"mode", fmt::format("{:04o}", cache_.mode)},
                         {"owner", cache_.owner},
                         {"entries", cache_.entries},
                         {"bad", cache_.bad},
                         {"problem", cache_.problem}};
    Json tiers = Json::array();
    for (const TierState& tier : tiers_) {
      tiers.push_back({{"path", tier.path},
                       {"kind", tier.kind},
                       {"entries", tier.entries},
                       {"bad", tier.bad},
                       {"problem", tier.problem}});
    }
    document["read_only"] = tiers;
    document["host_compiler"] = {
        {"program", host_.program}, {"path", host_.path}, {"version", host_.version}};
    document["disassembler"] = disassembler_;
    document["missing"] = missing;
    return document;
  }

  static std::string version_text(int version) {
    return version == 0 ? "" : fmt::format("{}.{}", version / 1000, version % 1000 / 10);
  }

  std::string text() const {
    std::string text;
    const auto line = [&text](const char* name, const std::string& value) {
      text += fmt::format("{:<14} {}\n", name, value);
    };
    line("fourge", FOURGE_VERSION);
    if (can_compile()) {
      line("NVRTC", fmt::format("{}, {}", nvrtc_.version, nvrtc_.location.path));
      line("", nvrtc_.location.build_identity);
    } else {
      line("NVRTC", "NOT USABLE: " + nvrtc_.problem);
    }
    line("searched", searched_text());
    line("driver", driver_.version == 0 ? "none: " + driver_.problem
                                        : "CUDA " + version_text(driver_.version));
    for (const DeviceInfo& device : driver_.devices) {
      line(fmt::format("device {}", device.ordinal).c_str(),
           fmt::format("{}, compute capability {}.{}, {}, target {}", device.name, device.major,
                       device.minor, bytes_text(device.memory_bytes),
                       device.target ? device.target->text() : "NONE"));
    }
    line("cache", cache_text());
    for (const TierState& tier : tiers_) {
      line("read-only",
           tier.problem.empty()
               ? fmt::format("{} ({}), {} kernels{}", tier.path, tier.kind, tier.entries,
                             tier.bad == 0 ? "" : fmt::format(", {} BAD", tier.bad))
               : fmt::format("{}: NOT USED", tier.path));
    }
    line("host compiler", can_run_on_host() ? fmt::format("{} ({})", host_.path, host_.version)
                                            : host_.program + ": NOT USABLE");
    line("disassembler", disassembler_.empty() ? "none" : disassembler_);
    for (const Finding& finding : missing_) {
      text += fmt::format("\nMissing: {}.\n  {}.\n", finding.what, finding.how);
    }
    if (ok() && !can_compile()) {
      return text + "\nReady for what is in the caches: it runs here, and nothing compiles.\n";
    }
    return text + (ok() ? "\nReady: kernels compile and run here.\n"
                        : "\nNot ready: kernels cannot be compiled and run here.\n");
  }

  std::string searched_text() const {
    std::string text;
    for (const std::string& place : nvrtc_.location.searched) {
      text += (text.empty() ? "" : ", ") + place;
    }
    return text;
  }

  std::string cache_text() const {
    if (cache_.directory.empty()) {
      return "none: " + cache_.problem;
    }
    if (!cache_.exists) {
      return fmt::format("{} (does not exist; {})", cache_.directory,
                         cache_.writable ? "will be created" : "CANNOT be created");
    }
    std::string text =
        fmt::format("{} (mode {:04o}, owner {}, {}), {} kernels", cache_.directory, cache_.mode,
                    cache_.owner, cache_.writable ? "writable" : "NOT WRITABLE", cache_.entries);
    if (cache_.bad != 0) {
      text += fmt::format(", {} BAD (fourge cache verify)", cache_.bad);
    }
    return cache_.problem.empty() ? text : text + ": " + cache_.problem;
  }

  bool json_;
  Options options_;
  NvrtcState nvrtc_;
  DriverState driver_;
  CacheState cache_;
  std::vector<TierState> tiers_;
  HostCompilerState host_;
  bool gpu_ = false;
  std::string disassembler_;
  std::vector<Finding> missing_;
};

}  // namespace

void add_doctor(CLI::App& app, CommandLine& line) {
  CLI::App& command = add_command(
      app, line, "doctor", "Tell what was found here and what is missing.",
      "Looks at NVRTC, the driver, devices, the caches and the host compiler. Exit code 0\n"
      "if kernels can be compiled here, and run on a GPU or on the CPU; without NVRTC, if there\n"
      "are a GPU and kernels in a cache.");
  command.callback([&line] { line.action = [&line] { return Doctor(line.common).report(); }; });
}

}  // namespace fourge::tools
