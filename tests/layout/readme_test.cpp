// The README shows a part of an example: it must be that part, letter for letter.
#include <stdexcept>
#include <string>

#include "tests/layout/source_tree.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

// The text between the line that holds begin and the next that holds end.
std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t mark = text.find(begin);
  const std::size_t start = mark == std::string::npos ? mark : text.find('\n', mark);
  const std::size_t stop = start == std::string::npos ? start : text.find(end, start);
  if (stop == std::string::npos) {
    throw std::runtime_error("no text between \"" + begin + "\" and \"" + end + "\"");
  }
  const std::size_t last = text.rfind('\n', stop);
  return text.substr(start + 1, last - start);
}

}  // namespace

TEST_CASE("a marked part of a text", "[layout]") {
  CHECK(between("a\n// [x]\nb\nc\n// [/x]\nd\n", "[x]", "[/x]") == "b\nc\n");
  CHECK_THROWS(between("a\n// [x]\nb\n", "[x]", "[/x]"));
  CHECK_THROWS(between("a\n", "[x]", "[/x]"));
}

TEST_CASE("the README's example is the one that is compiled", "[layout]") {
  const std::string root = FOURGE_SOURCE_DIR;
  const std::string readme = read_text_file(root + "/README.md");
  const std::string example = read_text_file(root + "/examples/quickstart/main.cpp");
  const std::string shown = between(readme, "```cpp", "```");
  CHECK(shown == between(example, "[readme]", "[/readme]"));
  CHECK(shown.size() > 200);
}

}  // namespace fourge::tests
