// tests/README.md maps classes of defects, and claims, to tests: each of the named tests has to exist. (Of
// a test that is no C++, the file.)
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/layout/source_tree.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

constexpr int kClasses = 22;

struct TableRow {
  std::string kind;
  std::string file;
  std::string test;
};

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(' ');
  return first == std::string::npos ? ""
                                    : text.substr(first, text.find_last_not_of(' ') + 1 - first);
}

// "| what it is | tests/a_test.cpp: name of a test |"
std::optional<TableRow> parse_row(const std::string& line) {
  const std::size_t middle = line.find('|', 1);
  const std::size_t end = middle == std::string::npos ? middle : line.find('|', middle + 1);
  if (end == std::string::npos || line[0] != '|') {
    return std::nullopt;
  }
  const std::string kind = trimmed(line.substr(1, middle - 1));
  const std::string test = trimmed(line.substr(middle + 1, end - middle - 1));
  const std::size_t colon = test.find(": ");
  if (kind.empty() || colon == std::string::npos) {
    return std::nullopt;
  }
  return TableRow{kind, test.substr(0, colon), test.substr(colon + 2)};
}

// The lines of the table below this heading, without its two head lines.
std::vector<std::string> table_lines(const std::string& text, const std::string& heading) {
  std::vector<std::string> lines;
  std::size_t at = text.find(heading);
  at = at == std::string::npos ? at : text.find("\n|", at);
  while (at != std::string::npos && at + 1 < text.size() && text[at + 1] == '|') {
    const std::size_t end = text.find('\n', at + 1);
    lines.push_back(text.substr(at + 1, end - at - 1));
    at = end;
  }
  if (lines.size() >= 2) {
    lines.erase(lines.begin(), lines.begin() + 2);
  }
  return lines;
}

// "" or what is wrong with a line of the table.
std::string fault(const std::string& root, const std::string& line) {
  const auto row = parse_row(line);
  if (!row) {
    return "no row of the form | what it is | test file: test name |";
  }
  if (!std::filesystem::is_regular_file(root + "/" + row->file)) {
    return "no file " + row->file;
  }
  if (row->file.find(".cpp") == std::string::npos) {
    return "";
  }
  const std::string text = read_text_file(root + "/" + row->file);
  return text.find("TEST_CASE(\"" + row->test + "\"") == std::string::npos
             ? row->file + " has no test \"" + row->test + "\""
             : "";
}

// The same of a row that begins with the number of a class.
std::string defect_fault(const std::string& root, const std::string& line) {
  const auto row = parse_row(line);
  const bool numbered = row && row->kind.find_first_of("0123456789") == 0;
  if (!numbered || std::stoi(row->kind) < 1 || std::stoi(row->kind) > kClasses) {
    return "no row of the form | N class | test file: test name |";
  }
  return fault(root, line);
}

}  // namespace

TEST_CASE("a table of defects with planted faults", "[layout]") {
  const std::string root = FOURGE_SOURCE_DIR;
  const std::string file = "tests/layout/defect_table_test.cpp";
  CHECK(
      defect_fault(root, "| 4 x | " + file + ": a table of defects with planted faults |").empty());
  CHECK_FALSE(defect_fault(root, "| 4 x | " + file + ": a table of defects |").empty());
  CHECK_FALSE(defect_fault(root, "| 4 x | tests/layout/none.cpp: a table of defects |").empty());
  CHECK_FALSE(
      defect_fault(root, "| x | " + file + ": a table of defects with planted faults |").empty());
  CHECK_FALSE(defect_fault(root, "| 23 x | " + file + ": a table of defects with planted faults |")
                  .empty());
  CHECK_FALSE(defect_fault(root, "| 4 x | " + file + " |").empty());
  CHECK(table_lines("a\n**T**\n\n| h |\n|---|\n| 1 |\n| 2 |\n\n| 3 |\n", "**T**") ==
        std::vector<std::string>{"| 1 |", "| 2 |"});
  CHECK(table_lines("a\n| h |\n|---|\n| 1 |\n", "**T**").empty());
}

TEST_CASE("the tests that cover the classes of defects exist", "[layout]") {
  const std::string root = FOURGE_SOURCE_DIR;
  const auto lines = table_lines(read_text_file(root + "/tests/README.md"), "**Defect classes.**");
  CHECK(lines.size() >= 10);
  for (const std::string& line : lines) {
    CAPTURE(line);
    CHECK(defect_fault(root, line) == "");
  }
}

TEST_CASE("the tests of what is claimed exist", "[layout]") {
  const std::string root = FOURGE_SOURCE_DIR;
  const std::string file = "tests/layout/defect_table_test.cpp";
  CHECK(fault(root, "| x | " + file + ": the tests of what is claimed exist |").empty());
  CHECK_FALSE(fault(root, "|  | " + file + ": the tests of what is claimed exist |").empty());
  CHECK_FALSE(fault(root, "| x | " + file + ": no such test |").empty());
  CHECK(fault(root, "| x | tests/run: a script |").empty());
  CHECK_FALSE(fault(root, "| x | tests/no_such_script: a script |").empty());
  const std::string page = read_text_file(root + "/tests/README.md");
  const std::pair<const char*, std::size_t> tables[] = {{"**The quantizers' claims.**", 25},
                                                        {"**What embedders are told.**", 40},
                                                        {"**The cache's claims.**", 50}};
  for (const auto& [heading, least] : tables) {
    const auto lines = table_lines(page, heading);
    CAPTURE(heading);
    CHECK(lines.size() >= least);
    for (const std::string& line : lines) {
      CAPTURE(line);
      CHECK(fault(root, line) == "");
    }
  }
}

}  // namespace fourge::tests
