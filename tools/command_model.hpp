// The command line as data, read off its CLI11 definitions: what the manual page and the completions are
// made from.
#pragma once

#include <string>
#include <vector>

// Its header costs each source that reads it seconds.
namespace CLI {
class App;
}

namespace fourge::tools {

struct CommandOption {
  std::vector<std::string> names;    // "-h", "--help"; of a positional argument its bare name
  std::string value;                 // "FILE.npy"; empty: takes none
  std::vector<std::string> choices;  // of the value, if they are few and known
  std::string description;
  std::string group;
  bool positional = false;
  bool required = false;
  bool takes_file = false;
};

struct CommandModel {
  std::vector<std::string> path;  // {"cache", "export"}; empty: fourge itself
  std::string description;
  std::string details;  // what stands below the options in the help, without the exit codes
  std::vector<CommandOption> options;
  std::vector<std::string> children;

  std::string name() const;  // "cache export"
};

// fourge itself first, each command before its own ones; hidden commands are left out.
std::vector<CommandModel> command_models(const CLI::App& app);

}  // namespace fourge::tools
