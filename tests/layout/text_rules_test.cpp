// Planted violations: the checker has to find them.
#include "tests/layout/text_rules.hpp"

#include <string>

#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

std::string lines(std::size_t count, const std::string& first = "//") {
  std::string text = first + "\n";
  for (std::size_t i = 1; i < count; ++i) {
    text += "//\n";
  }
  return text;
}

std::size_t faults(const std::string& path, const std::string& text) {
  return check_text(path, text).size();
}

}  // namespace

TEST_CASE("files that are too long", "[layout]") {
  for (const char* path : {"jit/a.cpp", "tests/a.hpp", "kernel_templates/a.cuh", "tools/setup/a.sh",
                           "cmake/A.cmake", "jit/CMakeLists.txt"}) {
    CHECK(faults(path, lines(kMaximumLines)) == 0);
    CHECK(faults(path, lines(kMaximumLines + 1)) == 1);
  }
  CHECK(faults("tests/run", lines(kMaximumLines + 1, "#!/bin/sh")) == 1);
  CHECK(faults("docs/a.md", lines(kMaximumLines + 1)) == 0);
}

TEST_CASE("the environment is read in one place", "[layout]") {
  const std::string text = "const char* home = std::getenv(\"HOME\");\n";
  for (const char* path : {"jit/a.cpp", "cache/a.cpp", "runtime/a.cpp", "examples/a.cpp"}) {
    CHECK(faults(path, text) == 1);
  }
  for (const char* path : {"runtime/options.cpp", "tests/a.cpp", "tools/a.cpp"}) {
    CHECK(faults(path, text) == 0);
  }
  CHECK(faults("jit/a.cpp", "int x;  // not getenv\n") == 0);
  CHECK(faults("jit/a.cpp", "char* y = secure_getenv(\"Y\");") == 1);
}

TEST_CASE("the library does not print", "[layout]") {
  CHECK(faults("jit/a.cpp", "std::cout << 1;\n") == 1);
  CHECK(faults("cache/a.cpp", "std::cerr << 1;\n") == 1);
  CHECK(faults("runtime/a.cpp", "  printf(\"x\");\n") == 1);
  CHECK(faults("runtime/a.cpp", "  fmt::print(\"x\");\n") == 1);
  CHECK(faults("reference/a.cpp", "  std::fprintf(stderr, \"x\");\n") == 1);
  CHECK(faults("kernel_templates/a.cuh", "  printf(\"x\");\n") == 1);
  CHECK(faults("runtime/a.cpp", "  std::snprintf(text, 4, \"x\");\n") == 0);
  CHECK(faults("tools/a.cpp", "  std::printf(\"x\");\n") == 0);
}

TEST_CASE("no notes of unfinished work", "[layout]") {
  const std::string note = std::string("TO") + "DO";
  const std::string other = std::string("FIX") + "ME";
  for (const char* path :
       {"jit/a.cpp", "tests/a.cpp", "docs/a.md", "CMakeLists.txt", "tests/run"}) {
    CHECK(faults(path, "first\n// " + note + ": later\n") == 1);
    CHECK(faults(path, "# " + other + "\n") == 1);
  }
  const Violations found = check_text("jit/a.cpp", "int a;\n// " + note);
  REQUIRE(found.size() == 1);
  CHECK(found[0].line == 2);
  CHECK(faults("jit/a.cpp", "int k" + note + "s;\n") == 0);
}

}  // namespace fourge::tests
