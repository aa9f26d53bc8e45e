#include "tests/cli/command_runner.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace fourge::tests {
namespace {

namespace fs = std::filesystem;

// What the program needs of its surroundings: where to find compilers, and settings of sanitizers.
constexpr const char* kInherited[] = {"PATH",         "LD_LIBRARY_PATH", "CUDA_HOME",
                                      "CUDA_PATH",    "FOURGE_NVRTC",    "FOURGE_HOST_CXX",
                                      "ASAN_OPTIONS", "UBSAN_OPTIONS",   "TSAN_OPTIONS"};

}  // namespace

RunningCommand::RunningCommand(RunningCommand&& other) noexcept
    : id_(std::exchange(other.id_, -1)), out_(std::move(other.out_)), err_(std::move(other.err_)) {}

RunningCommand::~RunningCommand() {
  if (id_ > 0) {
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
}

CommandResult RunningCommand::wait() {
  int status = 0;
  while (::waitpid(id_, &status, 0) < 0) {
    if (errno != EINTR) {
      throw std::runtime_error("waitpid failed");
    }
  }
  id_ = -1;
  CommandResult result;
  result.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  result.out = read_text(out_);
  result.err = read_text(err_);
  return result;
}

Sandbox::Sandbox() {
  std::string name = (fs::temp_directory_path() / "fourge-cli-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::runtime_error("cannot make " + name);
  }
  root_ = name;
  for (const char* variable : kInherited) {
    if (const char* value = std::getenv(variable)) {
      variables_[variable] = value;
    }
  }
  for (const char* directory : {"home", "run", "tmp", "output"}) {
    fs::create_directory(root_ / directory);
  }
  fs::permissions(root_ / "run", fs::perms::owner_all);
  variables_["HOME"] = path("home");
  variables_["XDG_RUNTIME_DIR"] = path("run");
  variables_["TMPDIR"] = path("tmp");
  variables_["FOURGE_CACHE_DIR"] = cache();
  // NVRTC leaves an allocation of its own behind, in a library that is unloaded by then.
  variables_.emplace("ASAN_OPTIONS", "detect_leaks=0");
}

Sandbox::~Sandbox() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

CommandResult Sandbox::run(const std::vector<std::string>& arguments) {
  return start(arguments).wait();
}

RunningCommand Sandbox::start(const std::vector<std::string>& arguments) {
  RunningCommand command;
  const std::string number = std::to_string(started_++);
  command.out_ = root_ / ("out" + number);
  command.err_ = root_ / ("err" + number);

  std::vector<std::string> argument_texts{FOURGE_COMMAND};
  argument_texts.insert(argument_texts.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variable_texts;
  for (const auto& [name, value] : variables_) {
    variable_texts.push_back(name + "=" + value);
  }
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) {
      list.push_back(text.data());
    }
    list.push_back(nullptr);
    return list;
  };

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, command.out_.c_str(), kFlags, 0600);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, command.err_.c_str(), kFlags, 0600);
  const int error = ::posix_spawn(&command.id_, FOURGE_COMMAND, &actions, nullptr,
                                  pointers(argument_texts).data(), pointers(variable_texts).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    throw std::runtime_error("cannot start " FOURGE_COMMAND);
  }
  return command;
}

std::vector<fs::path> entry_files(const std::string& cache) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(cache, ignored)) {
    const bool aside = entry.path().string().find("/quarantine/") != std::string::npos;
    if (entry.path().extension() == ".fourge" && !aside) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error("cannot read " + path.string());
  }
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) {
    throw std::runtime_error("cannot write " + path.string());
  }
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace fourge::tests
