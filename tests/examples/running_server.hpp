// The quantize_server example as a process of its own, by host execution, on a port that was free.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace fourge::tests {

class RunningServer {
 public:
  // Waits until it listens. The variables are set in its environment.
  explicit RunningServer(const std::vector<std::string>& options,
                         const std::map<std::string, std::string>& variables = {});
  // Kills it if it still runs.
  ~RunningServer();
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  int port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  // Reads what it prints until this line; false if it ends before.
  bool wait_for_line(const std::string& line);
  void signal(int number) const;
  // Waits for its end; its exit code, or 128 and the signal. What it printed is in all().
  int wait();
  const std::string& all() const { return all_; }

 private:
  bool read_line(std::string& line);

  pid_t id_ = -1;
  int output_ = -1;
  int port_ = -1;
  std::string pending_;
  std::string all_;
};

}  // namespace fourge::tests
