#include "runtime/worker/child_process.hpp"

#include <fourge/error.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <locale>
#include <string_view>
#include <utility>

extern char** environ;

namespace fourge::worker {
namespace {

[[noreturn]] void fail(const std::string& what, int error) {
  throw Error(ErrorKind::io, fmt::format("{}: {}", what, std::strerror(error)));
}

// Closed on exec, so that one child does not hold another's end open. What is written to is a socket:
// of a pipe that nobody reads the writer gets a signal.
struct Pipe {
  enum class Writer { child, us };
  explicit Pipe(Writer writer) {
    int ends[2] = {-1, -1};
    const int result = writer == Writer::child
                           ? ::pipe2(ends, O_CLOEXEC)
                           : ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
    if (result != 0) {
      fail("cannot make a pipe", errno);
    }
    read = ends[0];
    write = ends[1];
  }
  ~Pipe() {
    for (const int end : {read, write}) {
      if (end >= 0) {
        ::close(end);
      }
    }
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int read = -1;
  int write = -1;
};

class SpawnSettings {
 public:
  SpawnSettings(int input, int output) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawn_file_actions_adddup2(&actions_, input, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    // Whatever this process ignores and this thread blocks: the program expects the default.
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes_, &signals);
    ::sigaddset(&signals, SIGPIPE);
    ::posix_spawnattr_setsigdefault(&attributes_, &signals);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& arguments,
                           const std::vector<std::string>* environment) {
  Pipe in(Pipe::Writer::us);
  Pipe out(Pipe::Writer::child);
  const SpawnSettings settings(in.read, out.write);
  const auto pointers = [](const std::vector<std::string>& texts) {
    std::vector<char*> found;
    for (const std::string& text : texts) {
      found.push_back(const_cast<char*>(text.c_str()));
    }
    found.push_back(nullptr);
    return found;
  };
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> variables =
      environment == nullptr ? std::vector<char*>() : pointers(*environment);
  const int error = ::posix_spawn(&id_, argv[0], settings.actions(), settings.attributes(),
                                  argv.data(), environment == nullptr ? environ : variables.data());
  if (error != 0) {
    id_ = -1;
    fail(fmt::format("cannot start {}", arguments[0]), error);
  }
  handle_ = static_cast<int>(::syscall(SYS_pidfd_open, id_, 0));
  input_ = std::exchange(in.write, -1);
  output_ = std::exchange(out.read, -1);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : id_(std::exchange(other.id_, -1)),
      handle_(std::exchange(other.handle_, -1)),
      input_(std::exchange(other.input_, -1)),
      output_(std::exchange(other.output_, -1)),
      status_(std::exchange(other.status_, std::nullopt)),
      peak_bytes_(other.peak_bytes_) {}

ChildProcess::~ChildProcess() {
  close_input();
  if (id_ > 0 && !status_) {
    kill();
    int ignored = 0;
    while (::waitpid(id_, &ignored, 0) < 0 && errno == EINTR) {
    }
  }
  for (const int descriptor : {output_, handle_}) {
    if (descriptor >= 0) {
      ::close(descriptor);
    }
  }
}

bool ChildProcess::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::send(input_, text.data(), text.size(), MSG_NOSIGNAL);
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

void ChildProcess::close_input() noexcept {
  if (input_ >= 0) {
    ::close(std::exchange(input_, -1));
  }
}

void ChildProcess::kill() noexcept {
  if (status_) {
    return;
  }
  if (handle_ < 0 || ::syscall(SYS_pidfd_send_signal, handle_, SIGKILL, nullptr, 0) != 0) {
    if (handle_ < 0 || errno == ENOSYS || errno == EPERM) {
      ::kill(id_, SIGKILL);
    }
  }
}

int ChildProcess::wait() {
  if (!status_) {
    int status = 0;
    rusage usage{};
    while (::wait4(id_, &status, 0, &usage) < 0) {
      if (errno == ECHILD) {
        status = kUnknownStatus;
        break;
      }
      if (errno != EINTR) {
        fail("cannot wait for a process", errno);
      }
    }
    status_ = status;
    peak_bytes_ = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  }
  return *status_;
}

std::uint64_t ChildProcess::resident_bytes() const {
  std::ifstream file(fmt::format("/proc/{}/statm", id_));  // pages: all, resident, ...
  file.imbue(std::locale::classic());  // the program's may take blanks for separators of thousands
  std::uint64_t all = 0;
  std::uint64_t resident = 0;
  file >> all >> resident;
  return file ? resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

void ChildProcess::limit_data([[maybe_unused]] std::uint64_t bytes) noexcept {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const rlimit limit{bytes, bytes};
  ::prlimit(id_, RLIMIT_DATA, &limit, nullptr);
#endif
}

std::string describe_status(int status) {
  if (status == kUnknownStatus) {
    return "how is not known";
  }
  if (WIFSIGNALED(status)) {
    return fmt::format("killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  }
  return fmt::format("exit code {}", WEXITSTATUS(status));
}

ProgramOutput run_program(const std::vector<std::string>& arguments) {
  ChildProcess child(arguments);
  child.close_input();
  ProgramOutput output;
  std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t got = ::read(child.output(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      fail(fmt::format("cannot read what {} prints", arguments[0]), errno);
    }
    if (got == 0) {
      break;
    }
    output.text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  output.status = child.wait();
  return output;
}

}  // namespace fourge::worker
