#include "tests/examples/running_server.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

extern char** environ;

namespace fourge::tests {
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& variables) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (variables.count(text.substr(0, text.find('='))) == 0) environment.push_back(text);
  }
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  // The distribution's httplib is not instrumented: ThreadSanitizer does not see its static locals' guards.
  environment.push_back("TSAN_OPTIONS=ignore_noninstrumented_modules=1");
  return environment;
}

}  // namespace

RunningServer::RunningServer(const std::vector<std::string>& options,
                             const std::map<std::string, std::string>& variables) {
  int pipes[2] = {-1, -1};
  if (pipe2(pipes, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, pipes[1], STDERR_FILENO);
  std::vector<std::string> arguments{FOURGE_QUANTIZE_SERVER, "--port", "0", "--device", "host"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  std::vector<std::string> environment = environment_with(variables);
  const int error = posix_spawn(&id_, FOURGE_QUANTIZE_SERVER, &actions, nullptr,
                                pointers(arguments).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  close(pipes[1]);
  output_ = pipes[0];
  if (error != 0) {
    id_ = -1;
    throw std::runtime_error("the server could not be started");
  }
  std::string line;
  const std::string before = "listening on http://127.0.0.1:";
  while (port_ < 0 && read_line(line)) {
    if (line.rfind(before, 0) == 0) port_ = std::stoi(line.substr(before.size()));
  }
  if (port_ < 0) throw std::runtime_error("the server does not listen: " + all_);
}

RunningServer::~RunningServer() {
  if (id_ > 0) {
    kill(id_, SIGKILL);
    wait();
  }
  close(output_);
}

bool RunningServer::read_line(std::string& line) {
  for (;;) {
    const std::size_t end = pending_.find('\n');
    if (end != std::string::npos) {
      line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return true;
    }
    char buffer[4096];
    const ssize_t got = read(output_, buffer, sizeof(buffer));
    if (got <= 0) return false;
    pending_.append(buffer, static_cast<std::size_t>(got));
    all_.append(buffer, static_cast<std::size_t>(got));
  }
}

bool RunningServer::wait_for_line(const std::string& wanted) {
  std::string line;
  while (read_line(line)) {
    if (line == wanted) return true;
  }
  return false;
}

void RunningServer::signal(int number) const { kill(id_, number); }

int RunningServer::wait() {
  std::string line;
  while (read_line(line)) {
  }
  int status = 0;
  waitpid(id_, &status, 0);
  id_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace fourge::tests
