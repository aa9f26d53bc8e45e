// Runs the fourge command in surroundings of its own: home, cache, lock and temporary directories
// that are removed afterwards, and no variable of fourge's inherited except where NVRTC lies.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fourge::tests {

// A variant like any other.
inline constexpr const char* kSpec =
    "nvfp4_quantize[in=f16,layout=8x4,scale=tensor,math=exact,tpc=2,4over6=off]@sm_90a";

struct CommandResult {
  int exit_code = -1;  // 128 + signal if a signal ended it
  std::string out;
  std::string err;

  nlohmann::json json() const { return nlohmann::json::parse(out); }
  bool says(const std::string& text) const { return err.find(text) != std::string::npos; }
};

class Sandbox;

// A command that runs. Killed, if it still does, by the destructor.
class RunningCommand {
 public:
  ~RunningCommand();
  RunningCommand(RunningCommand&& other) noexcept;
  RunningCommand& operator=(RunningCommand&&) = delete;

  pid_t id() const { return id_; }
  CommandResult wait();

 private:
  friend class Sandbox;
  RunningCommand() = default;

  pid_t id_ = -1;
  std::filesystem::path out_;
  std::filesystem::path err_;
};

class Sandbox {
 public:
  Sandbox();
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  // A file or directory in it.
  std::string path(const std::string& name) const { return (root_ / name).string(); }
  std::string cache() const { return path("cache"); }
  void set_variable(const std::string& name, const std::string& value) { variables_[name] = value; }

  // Standard input is empty.
  CommandResult run(const std::vector<std::string>& arguments);
  RunningCommand start(const std::vector<std::string>& arguments);

 private:
  std::filesystem::path root_;
  std::map<std::string, std::string> variables_;
  int started_ = 0;
};

// Files of entries below a cache directory.
std::vector<std::filesystem::path> entry_files(const std::string& cache);
std::string read_text(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, const std::string& text);
// Names in a directory, sorted.
std::vector<std::string> names_in(const std::string& directory);

}  // namespace fourge::tests
