// Every command that the documentation shows exists, with every option that is shown with it.
#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

namespace fs = std::filesystem;

// Commands by their words ("cache export"), and the options shown with them.
using Commands = std::map<std::string, std::set<std::string>>;

void add_commands(const std::string& text, Commands& commands) {
  // Of a code span or a line of a block; what stands behind | or # is something else.
  const std::regex shown(
      "(?:`|\\n|RUN |=\\S+ )fourge ((?:bench|tune) allreduce|(?:cache )?[a-z]+)\\b([^`\\n|#]*)");
  const std::regex option("--[a-z][a-z-]*");
  const std::string joined = std::regex_replace(text, std::regex("\\\\\n\\s*"), "");
  for (std::sregex_iterator it(joined.begin(), joined.end(), shown), end; it != end; ++it) {
    auto& options = commands[(*it)[1].str()];
    const std::string rest = (*it)[2].str();
    for (std::sregex_iterator at(rest.begin(), rest.end(), option), last; at != last; ++at) {
      options.insert(at->str());
    }
  }
}

std::vector<std::string> words_of(const std::string& command) {
  std::istringstream stream(command);
  return {std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
}

Commands documented() {
  const std::string root = FOURGE_SOURCE_DIR;
  std::vector<fs::path> pages{root + "/README.md", root + "/tests/README.md"};
  for (const auto& entry : fs::directory_iterator(root + "/docs")) {
    pages.push_back(entry.path());
  }
  Commands commands;
  for (const fs::path& page : pages) {
    add_commands('\n' + read_text(page), commands);
  }
  return commands;
}

}  // namespace

TEST_CASE("commands in a text", "[cli][docs]") {
  Commands found;
  add_commands(
      "\nfourge run a --x 1   # --no\n`fourge cache export --sign P`, `fourge::x`\nA=b fourge "
      "build "
      "\\\n  --y",
      found);
  CHECK(found == Commands{{"run", {"--x"}}, {"cache export", {"--sign"}}, {"build", {"--y"}}});
}

TEST_CASE("every documented command and option exists", "[cli][docs]") {
  Sandbox sandbox;
  const Commands commands = documented();
  CHECK(commands.size() >= 10);
  for (const auto& [command, options] : commands) {
    INFO("fourge " << command);
    auto words = words_of(command);
    // "fourge cache list|stats" shows several, "fourge cache" none.
    words.push_back("--help");
    const auto help = sandbox.run(words);
    CHECK(help.exit_code == 0);
    for (const std::string& option : options) {
      INFO(option);
      CHECK(std::regex_search(help.out, std::regex(option + "(?![a-z-])")));
    }
  }
}

}  // namespace fourge::tests
