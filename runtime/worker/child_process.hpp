// A program that this one started, with a way to its standard input and from its standard output. No
// shell is involved; standard error is shared, and nothing else is inherited.
//
// Made for processes that belong to somebody else: nothing runs between fork and exec (posix_spawn), no
// signal is raised here (SIGPIPE), its own children are never waited for, and who reaps all children or
// ignores SIGCHLD does no harm: then the status is not known. One thread at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fourge::worker {

class ChildProcess {
 public:
  // arguments[0] is the program's path. environment: NAME=VALUE; null: this process's. Throws Error(io)
  // if it cannot be started.
  explicit ChildProcess(const std::vector<std::string>& arguments,
                        const std::vector<std::string>* environment = nullptr);
  // Kills it if it still runs, and waits for it.
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;

  pid_t id() const noexcept { return id_; }
  int output() const noexcept { return output_; }  // readable end of its standard output

  // False if it does not read any more (it has ended).
  bool write(std::string_view text);
  void close_input() noexcept;

  void kill() noexcept;
  // Waits for its end. The status as waitpid gives it; kUnknownStatus if somebody else took it.
  int wait();
  // The most memory it had resident, in bytes; after wait().
  std::uint64_t peak_bytes() const noexcept { return peak_bytes_; }
  // What it has resident now; 0 if that cannot be told.
  std::uint64_t resident_bytes() const;
  // Allocations beyond this fail in it. Nothing happens if the system refuses, or in a build with
  // sanitizers, which need far more than they use.
  void limit_data(std::uint64_t bytes) noexcept;

 private:
  pid_t id_ = -1;
  int handle_ = -1;  // a pidfd, so that no other process is ever killed; -1: there is none
  int input_ = -1;
  int output_ = -1;
  std::optional<int> status_;
  std::uint64_t peak_bytes_ = 0;
};

inline constexpr int kUnknownStatus = -1;

// "exit code 3", "killed by signal 9 (Killed)"
std::string describe_status(int status);

struct ProgramOutput {
  int status = 0;  // as waitpid gives it
  std::string text;
};

// Runs a program to its end and takes what it prints.
ProgramOutput run_program(const std::vector<std::string>& arguments);

}  // namespace fourge::worker
