// Runs a program to its end.
#pragma once

#include <string>
#include <vector>

namespace fourge::host {

struct ProcessResult {
  int spawn_error = 0;  // errno if the program could not be started
  int exit_code = 0;    // 128 + signal if a signal ended it
  bool succeeded() const noexcept { return spawn_error == 0 && exit_code == 0; }
};

// arguments[0] is a path, or a name that is searched in PATH; no shell is involved, so arguments
// may hold any character. Standard output and error go to the file, standard input is empty. Throws
// Error(io) if the wait fails.
ProcessResult run_process(const std::vector<std::string>& arguments,
                          const std::string& output_file);

// The arguments as a shell would need them, for messages.
std::string command_text(const std::vector<std::string>& arguments);

}  // namespace fourge::host
