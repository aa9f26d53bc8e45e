// The documentation: every page is in the index, every link and every path leads somewhere, functions are
// where a page says, and messages that are explained are messages of the program.
#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/layout/source_text.hpp"
#include "tests/layout/source_tree.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

namespace fs = std::filesystem;

const std::string kRoot = std::string(FOURGE_SOURCE_DIR) + "/";

std::vector<std::string> pages() {
  std::vector<std::string> found{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/README.md"};
  for (const auto& entry : fs::directory_iterator(kRoot + "docs")) {
    if (entry.path().extension() == ".md") {
      found.push_back("docs/" + entry.path().filename().string());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> matches(const std::string& text, const char* pattern) {
  const std::regex expression(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), expression), end; it != end; ++it) {
    found.push_back((*it)[1].str());
  }
  return found;
}

// Targets of links to files, without anchors of the same page.
std::vector<std::string> links(const std::string& page) {
  std::vector<std::string> found;
  for (const std::string& link : matches(without_code(page), "\\]\\(([^)\\s]+)\\)")) {
    if (link.find("://") == std::string::npos && link.front() != '#') {
      found.push_back(link.substr(0, link.find('#')));
    }
  }
  return found;
}

}  // namespace

TEST_CASE("every page of the documentation is in its index", "[docs]") {
  std::set<std::string> linked;
  for (const char* index : {"README.md", "docs/README.md"}) {
    for (const std::string& link : links(read_text_file(kRoot + index))) {
      linked.insert((fs::path(index).parent_path() / link).lexically_normal().generic_string());
    }
  }
  for (const std::string& page : pages()) {
    if (page.rfind("docs/", 0) == 0 && page != "docs/README.md") {
      INFO(page);
      CHECK(linked.count(page) == 1);
    }
  }
}

TEST_CASE("every link and every path in the documentation leads somewhere", "[docs]") {
  std::size_t checked = 0;
  for (const std::string& page : pages()) {
    const std::string text = read_text_file(kRoot + page);
    for (const std::string& link : links(text)) {
      INFO(page << " links " << link);
      CHECK(fs::exists(fs::path(kRoot + page).parent_path() / link));
      ++checked;
    }
    // Names in capitals stand for something: OP.cpp.
    for (const std::string& path : matches(
             text,
             "`((?:cache|cmake|docs|examples|jit|kernel_templates|reference|runtime|tests|tools)"
             "/[a-z0-9_./-]+\\.(?:cpp|hpp|cuh|md|txt|json|cmake|py|h))`")) {
      INFO(page << " names " << path);
      CHECK(fs::exists(kRoot + path));
      ++checked;
    }
  }
  CHECK(checked >= 60);
}

TEST_CASE("the README's table has every operator", "[docs]") {
  const std::string readme = read_text_file(kRoot + "README.md");
  const auto operators = matches(read_text_file(kRoot + "docs/operators.md"),
                                 "\n\\| `([a-z0-9_]+)` \\| executed on \\|");
  CHECK(operators.size() >= 23);
  for (const std::string& name : operators) {
    INFO(name);
    CHECK(readme.find("`" + name + "`") != std::string::npos);
  }
}

TEST_CASE("the README has the two commands and every environment variable", "[docs]") {
  const std::string readme = read_text_file(kRoot + "README.md");
  for (const char* command : {"tools/quickstart", "tests/run"}) {
    INFO(command);
    CHECK(readme.find(std::string("\n") + command + " ") != std::string::npos);
    const auto mode = fs::status(kRoot + command).permissions();
    CHECK((mode & fs::perms::owner_exec) != fs::perms::none);
  }
  const std::regex variable("FOURGE_[A-Z_]+");
  std::set<std::string> read;
  for (const auto& literal : string_literals(read_text_file(kRoot + "runtime/options.cpp"))) {
    if (std::regex_match(literal, variable)) {
      read.insert(literal);
    }
  }
  CHECK(read.size() >= 9);
  for (const std::string& name : read) {
    INFO(name);
    CHECK(readme.find("\n| `" + name + "` |") != std::string::npos);
  }
}

TEST_CASE("the functions of the seven steps are where the page says", "[docs]") {
  const std::string text = read_text_file(kRoot + "docs/seven_steps.md");
  // "`function` (`file`)", then the rows of the table: step, functions, files, when.
  const std::regex pair(
      "`([A-Za-z_:]+)(?:\\([^`]*\\))?`\\s+(?:\\(|in )`([a-z_]+/[a-z_/]+\\.[ch]pp)`");
  std::size_t checked = 0;
  for (std::sregex_iterator it(text.begin(), text.end(), pair), end; it != end; ++it) {
    const std::string function = (*it)[1].str();
    const std::string name = function.substr(function.rfind(':') + 1);
    INFO(function << " in " << (*it)[2].str());
    CHECK(read_text_file(kRoot + (*it)[2].str()).find(name + "(") != std::string::npos);
    ++checked;
  }
  CHECK(checked >= 12);

  std::size_t rows = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto cells = split(line, "|");
    if (cells.size() < 5) {
      continue;
    }
    std::string files;
    for (const auto& path : matches(cells[3], "`([a-z_/]+\\.[ch]pp)`")) {
      files += read_text_file(kRoot + path);
    }
    for (const auto& function : matches(cells[2], "`([A-Za-z_:]+)`")) {
      INFO(function);
      CHECK(files.find(function.substr(function.rfind(':') + 1) + "(") != std::string::npos);
      ++rows;
    }
  }
  CHECK(rows >= 11);
}

TEST_CASE("string literals of a source, joined", "[docs]") {
  const auto found = string_literals(
      "f(\"a \\\"b\\\" {}\"\n   \"c\");  // \"no\"\n#include \"x\"\nchar q = '\"'; g(\"d\", "
      "\"e\");");
  CHECK(found == std::vector<std::string>{"a \"b\" {}c", "x", "d", "e"});
  CHECK(holds_in_order("x is {}; use {} or y", {"is", "; use", "y"}));
  CHECK_FALSE(holds_in_order("x is {}; use {} or y", {"; use", "is"}));
}

TEST_CASE("messages that are explained are messages of the program", "[docs]") {
  std::vector<std::string> literals;
  for (const SourceFile& file : read_source_tree(FOURGE_SOURCE_DIR)) {
    const std::string directory = file.path.substr(0, file.path.find('/'));
    const bool program = directory == "runtime" || directory == "jit" || directory == "cache" ||
                         directory == "tools";
    if (program && fs::path(file.path).extension() == ".cpp") {
      const auto some = string_literals(file.text);
      literals.insert(literals.end(), some.begin(), some.end());
    }
  }
  REQUIRE(literals.size() > 1000);
  std::size_t messages = 0;
  for (const std::string& message :
       matches(read_text_file(kRoot + "docs/troubleshooting.md"), "\n### `([^`]+)`")) {
    INFO(message);
    const auto pieces = split(message, "\xE2\x80\xA6");  // the ellipsis
    CHECK(message.size() >= 12);
    CHECK(std::any_of(literals.begin(), literals.end(), [&pieces](const std::string& literal) {
      return holds_in_order(literal, pieces);
    }));
    ++messages;
  }
  CHECK(messages >= 30);
}

}  // namespace fourge::tests
