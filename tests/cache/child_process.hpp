// Forked children for tests. A child runs a function and leaves with its result as exit status,
// without destructors and without Catch; it must not use assertions.
#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

#include "cache/file_descriptor.hpp"

namespace fourge::tests {

class ChildProcess {
 public:
  // 0 to 100 from the function; what it throws gives 101.
  explicit ChildProcess(const std::function<int()>& body);
  // Kills and reaps what has not been waited for.
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;

  pid_t id() const { return pid_; }
  void kill() const { signal(9); }
  void signal(int number) const;
  // The exit status, or 128 + the signal.
  int wait();

 private:
  pid_t pid_ = -1;
};

// A gate that children wait at until the parent opens it.
class StartGate {
 public:
  StartGate();
  void wait() const;  // in the child
  void open();        // in the parent

 private:
  cache::FileDescriptor reader_;
  cache::FileDescriptor writer_;
};

// The user that root's children become, and its group.
inline constexpr unsigned kNobody = 65534;
// Children of root become nobody, so that permissions mean something to them. False if that failed.
bool drop_root();

}  // namespace fourge::tests
