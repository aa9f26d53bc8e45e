#include "runtime/host/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fourge/error.hpp>

namespace fourge::host {

namespace {

class SpawnSettings {
 public:
  explicit SpawnSettings(const std::string& output_file) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, output_file.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO);
    // The embedder may block or ignore signals that a compiler relies on.
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigemptyset(&none);
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGCHLD);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &defaults);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnSettings() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&actions_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::strchr("-_./+=:,@", c) != nullptr;
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& arguments,
                          const std::string& output_file) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));  // posix_spawn does not write to them
  }
  argv.push_back(nullptr);

  const SpawnSettings settings(output_file);
  ProcessResult result;
  pid_t child = 0;
  result.spawn_error = posix_spawnp(&child, argv[0], settings.actions(), settings.attributes(),
                                    argv.data(), environ);
  if (result.spawn_error != 0) {
    return result;
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno == ECHILD) {
      return result;  // the embedder ignores SIGCHLD: what the program left behind must tell
    }
    if (errno != EINTR) {
      throw Error(ErrorKind::io, "waiting for " + arguments[0] + ": " + std::strerror(errno));
    }
  }
  result.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

std::string command_text(const std::vector<std::string>& arguments) {
  std::string text;
  for (const std::string& argument : arguments) {
    bool plain = !argument.empty();
    std::string quoted = "'";
    for (const char c : argument) {
      plain = plain && is_plain(c);
      quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    text += (text.empty() ? "" : " ") + (plain ? argument : quoted + "'");
  }
  return text;
}

}  // namespace fourge::host
