// The machine's C++ compiler.
#pragma once

#include <string>
#include <vector>

namespace fourge::host {

class HostCompiler {
 public:
  // A program's path, or a name that is searched in PATH.
  explicit HostCompiler(std::string program) : program_(std::move(program)) {}

  // What decides the code it generates, as text: its own version text and the options. Runs the
  // compiler. Throws Error(unsupported) if it cannot be run. scratch: a directory to write in.
  std::string identity(const std::string& scratch) const;

  // Compiles a translation unit and the prelude in directory, which must be empty, and returns the
  // path of the shared object there. labels: the kernels in it, for messages. Throws CompileError
  // whose source_path() is in that directory.
  std::string compile(const std::string& directory, const std::string& source,
                      const std::vector<std::string>& labels) const;

  static const char* source_name() noexcept { return "batch.cpp"; }

 private:
  std::string program_;
};

}  // namespace fourge::host
