#include "tests/cache/child_process.hpp"

#include <grp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>

namespace fourge::tests {

ChildProcess::ChildProcess(const std::function<int()>& body) : pid_(::fork()) {
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ > 0) return;
  int status = 101;
  try {
    status = body();
  } catch (...) {
    status = 101;
  }
  ::_exit(status);
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  kill();
  wait();
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

void ChildProcess::signal(int number) const { ::kill(pid_, number); }

int ChildProcess::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

StartGate::StartGate() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw std::runtime_error("pipe failed");
  reader_ = cache::FileDescriptor(ends[0]);
  writer_ = cache::FileDescriptor(ends[1]);
}

// Opened by the end of the pipe, which every child sees, however many there are.
void StartGate::wait() const {
  ::close(writer_.get());  // the child's copy, or the pipe would never end
  char byte = 0;
  while (::read(reader_.get(), &byte, 1) < 0 && errno == EINTR) {
  }
}

void StartGate::open() { writer_.close(); }

bool drop_root() {
  if (::geteuid() != 0) return true;
  return ::setgroups(0, nullptr) == 0 && ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0;
}

}  // namespace fourge::tests
