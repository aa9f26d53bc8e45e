#include "tools/toolkit.hpp"

#include <fourge/error.hpp>
#include <fourge/runtime.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string_view>

#include "jit/nvrtc.hpp"
#include "runtime/worker/child_process.hpp"
#include "tools/output_file.hpp"

namespace fourge::tools {
namespace {

namespace fs = std::filesystem;

bool is_program(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

std::vector<std::string> path_directories() {
  std::vector<std::string> directories;
  const char* path = std::getenv("PATH");
  std::istringstream list(path == nullptr ? "" : path);
  for (std::string directory; std::getline(list, directory, ':');) {
    if (directory.empty()) {
      directory.assign(1, '.');  // not = ".": g++ 12 sees an overlap there
    }
    if (std::find(directories.begin(), directories.end(), directory) == directories.end()) {
      directories.push_back(directory);
    }
  }
  return directories;
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (fs::temp_directory_path() / "fourge-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw Error(ErrorKind::io, fmt::format("cannot make a temporary directory {}", name));
    }
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::vector<std::string> virtual_options(const KernelSpec& spec) {
  std::vector<std::string> options = compile_options(spec);
  bool replaced = false;
  for (std::string& option : options) {
    const std::size_t at = option.find(spec.target().text());
    if (option.rfind("--gpu-architecture", 0) == 0 && at != std::string::npos) {
      option.replace(at, std::string::npos, spec.target().virtual_text());
      replaced = true;
    }
  }
  if (!replaced) {
    throw Error(ErrorKind::internal,
                fmt::format("the options of {} name no architecture", spec.text()));
  }
  return options;
}

}  // namespace

jit::NvrtcLocation find_nvrtc(const Options& options) {
  return jit::locate_nvrtc({options.nvrtc_library, options.cuda_home});
}

std::string try_nvrtc(const jit::NvrtcLocation& location) {
  if (!location.found()) {
    throw Error(ErrorKind::library_missing, jit::nvrtc_missing_message(location));
  }
  const jit::Nvrtc nvrtc(location.path);
  const std::string options[] = {"--gpu-architecture=" + Target::all().front().text()};
  const auto output =
      nvrtc.compile("extern \"C\" __global__ void empty() {}\n", "empty.cu", options);
  if (!output.ok) {
    throw CompileError(fmt::format("{} cannot compile an empty kernel: {} {}", location.path,
                                   output.status, output.log),
                       output.log, "");
  }
  return fmt::format("{}.{}", nvrtc.major(), nvrtc.minor());
}

std::string compile_to_ptx(const KernelSpec& spec, const Options& options) {
  const jit::NvrtcLocation location = find_nvrtc(options);
  if (!location.found()) {
    throw Error(ErrorKind::library_missing, jit::nvrtc_missing_message(location));
  }
  const std::string source = generate_source(spec);
  const std::vector<std::string> arguments = virtual_options(spec);
  const jit::Nvrtc nvrtc(location.path);
  jit::CompileOutput output = nvrtc.compile(source, spec.entry_name() + ".cu", arguments);
  if (!output.ok || output.ptx.empty()) {
    throw CompileError(
        fmt::format("NVRTC did not compile {} to PTX: {}\n  options: {}\n  log:\n{}", spec.text(),
                    output.status, fmt::join(arguments, " "), output.log),
        output.log, "");
  }
  return std::move(output.ptx);
}

std::optional<Disassembler> find_disassembler(const Options& options,
                                              std::vector<std::string>* searched) {
  std::vector<std::string> directories = path_directories();
  if (!options.cuda_home.empty()) {
    directories.push_back(options.cuda_home + "/bin");
  }
  directories.emplace_back("/usr/local/cuda/bin");
  if (searched != nullptr) {
    *searched = directories;
  }
  const Disassembler known[] = {{"nvdisasm", {"-c"}}, {"cuobjdump", {"-sass"}}};
  for (const Disassembler& program : known) {
    for (const std::string& directory : directories) {
      const std::string path = directory + "/" + program.path;
      if (is_program(path)) {
        return Disassembler{path, program.arguments};
      }
    }
  }
  return std::nullopt;
}

std::string disassemble(std::span<const std::byte> cubin, const Options& options) {
  std::vector<std::string> searched;
  const auto program = find_disassembler(options, &searched);
  if (!program) {
    throw Error(ErrorKind::library_missing,
                fmt::format("SASS needs nvdisasm or cuobjdump, and neither was found (searched: "
                            "{}). Install the CUDA toolkit's cuda-nvdisasm package, or set "
                            "CUDA_HOME to a toolkit",
                            fmt::join(searched, ", ")));
  }
  const TemporaryDirectory directory;
  OutputFile file((directory.path() / "kernel.cubin").string());
  file.write(cubin);
  file.commit();
  std::vector<std::string> arguments{program->path};
  arguments.insert(arguments.end(), program->arguments.begin(), program->arguments.end());
  arguments.push_back(file.path());
  worker::ProgramOutput output = worker::run_program(arguments);
  if (output.status != 0) {
    throw Error(ErrorKind::internal,
                fmt::format("{} ended with {}: {}", fmt::join(arguments, " "),
                            worker::describe_status(output.status), output.text));
  }
  return std::move(output.text);
}

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return is_program(name) ? name : std::string();
  }
  for (const std::string& directory : path_directories()) {
    std::string path = directory + "/" + name;
    if (!name.empty() && is_program(path)) {
      return path;
    }
  }
  return {};
}

}  // namespace fourge::tools
