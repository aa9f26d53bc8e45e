#include "tests/cli/command_runner.hpp"
#include "tests/support/catch.hpp"

using namespace fourge::tests;

TEST_CASE("cli: the documentation's table of operators is up to date") {
  Sandbox sandbox;
  const std::string before = read_text(std::string(FOURGE_SOURCE_DIR) + "/docs/operators.md");
  const std::string path = sandbox.path("operators.md");
  write_text(path, before);
  const CommandResult result = sandbox.run({"variants", "--table", path});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  INFO("docs/operators.md is out of date: run  fourge variants --table docs/operators.md");
  CHECK((read_text(path) == before));
}

TEST_CASE("cli: the table replaces what lies between the markers, and nothing else") {
  Sandbox sandbox;
  const std::string path = sandbox.path("table.md");
  const std::string begin = "<!-- operator table: begin -->\n";
  const std::string end = "<!-- operator table: end -->\n";
  write_text(path, "above\n" + begin + "old\n" + end + "below\n");
  REQUIRE(sandbox.run({"variants", "--table", path}).exit_code == 0);
  const std::string text = read_text(path);
  CHECK(text.substr(0, 6 + begin.size()) == "above\n" + begin);
  CHECK(text.substr(text.size() - end.size() - 6) == end + "below\n");
  CHECK(text.find("old") == std::string::npos);
  CHECK(text.find("| `nvfp4_quantize` | executed on |") != std::string::npos);
  CHECK(text.find("| | E2M1 conversion | software |") != std::string::npos);
  // Every operation can be launched dependently, so that none is without flags.
  const auto count = [&text](const std::string& part) {
    std::size_t times = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
      ++times;
    }
    return times;
  };
  CHECK(count("` | executed on |") == count("| | dependent launch |"));

  write_text(path, end + begin);
  const CommandResult result = sandbox.run({"variants", "--table", path});
  CHECK(result.exit_code == 2);
  CHECK(result.says("operator table"));
  CHECK(read_text(path) == end + begin);
  CHECK(sandbox.run({"variants", "--table", sandbox.path("missing.md")}).exit_code == 2);
}
