#include "tests/out_of_tree/script.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace fourge::tests {

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error("cannot read " + path.string());
  }
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) {
    throw std::runtime_error("cannot write " + path.string());
  }
}

std::string quoted(const std::string& text) { return "'" + text + "'"; }

ScriptResult run_script(const std::string& directory, const std::string& commands) {
  const std::string script = directory + "/.commands.sh";
  const std::string out = directory + "/.commands.out";
  const std::string err = directory + "/.commands.err";
  write_text(script, "set -e\ncd " + quoted(directory) + "\n" + commands);
  const int status = std::system(  // NOLINT(cert-env33-c): the page's own commands
      ("bash " + quoted(script) + " > " + quoted(out) + " 2> " + quoted(err)).c_str());
  return {status == 0, read_text(out), read_text(out) + read_text(err)};
}

}  // namespace fourge::tests
