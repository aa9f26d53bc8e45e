// Commands of a page, run as they stand there.
#pragma once

#include <filesystem>
#include <string>

namespace fourge::tests {

// Throw std::runtime_error.
std::string read_text(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, const std::string& text);

// As one word of a shell's command.
std::string quoted(const std::string& text);

struct ScriptResult {
  bool ok;
  std::string out;
  std::string all;  // what went to standard error behind it
};

// Runs commands with bash in a directory, ending at the first that fails.
ScriptResult run_script(const std::string& directory, const std::string& commands);

}  // namespace fourge::tests
