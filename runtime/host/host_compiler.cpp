#include "runtime/host/host_compiler.hpp"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <fourge/error.hpp>

#include "runtime/host/batch_source.hpp"
#include "runtime/host/files.hpp"
#include "runtime/host/process.hpp"

namespace fourge::host {

namespace {

// No optimisation that the arithmetic or the emulation could notice. Device code reinterprets
// memory freely, so strict aliasing is off. Optimising more costs more than the kernels win.
const std::vector<std::string>& options() {
  static const std::vector<std::string> kOptions{"-std=c++20",
                                                 "-O1",
                                                 "-fPIC",
                                                 "-shared",
                                                 "-w",
                                                 "-ffp-contract=off",
                                                 "-fno-strict-aliasing",
                                                 "-fno-math-errno",
                                                 "-fvisibility=hidden"};
  return kOptions;
}

Error cannot_run(const std::string& program, const std::string& reason) {
  return Error(ErrorKind::unsupported,
               fmt::format("host execution needs a C++ compiler, and '{}' cannot be run: {}. "
                           "Install one (g++ or clang++), or name another in "
                           "Options::host_compiler or FOURGE_HOST_CXX",
                           program, reason));
}

}  // namespace

std::string HostCompiler::identity(const std::string& scratch) const {
  const std::string output = scratch + "/version.txt";
  const ProcessResult result = run_process({program_, "--version"}, output);
  const std::string text = read_file(output).value_or("");
  if (result.spawn_error != 0) {
    throw cannot_run(program_, std::strerror(result.spawn_error));
  }
  if (result.exit_code != 0 || text.empty()) {
    throw cannot_run(program_, fmt::format("--version ended with {}: {}", result.exit_code, text));
  }
  return text + fmt::format("{}", fmt::join(options(), "\n"));
}

std::string HostCompiler::compile(const std::string& directory, const std::string& source,
                                  const std::vector<std::string>& labels) const {
  for (const EmbeddedText& file : prelude_files()) {
    write_file(directory + "/" + std::string(file.name), file.text);
  }
  const std::string source_path = directory + "/" + source_name();
  const std::string object_path = directory + "/batch.so";
  const std::string log_path = directory + "/log.txt";
  write_file(source_path, source);

  std::vector<std::string> command{program_};
  command.insert(command.end(), options().begin(), options().end());
  command.insert(command.end(), {"-o", object_path, source_path});
  const ProcessResult result = run_process(command, log_path);
  if (result.spawn_error != 0) {
    throw cannot_run(program_, std::strerror(result.spawn_error));
  }
  if (!result.succeeded() || !std::filesystem::exists(object_path)) {
    std::string log = read_file(log_path).value_or("");
    throw CompileError(
        fmt::format("the host compiler refused the generated source of {} (exit code {})\n"
                    "command: {}\n{}",
                    fmt::join(labels, ", "), result.exit_code, command_text(command), log),
        log, source_path);
  }
  return object_path;
}

}  // namespace fourge::host
