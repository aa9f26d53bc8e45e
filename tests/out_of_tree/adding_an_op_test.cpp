// docs/adding_an_op.md, followed literally.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/out_of_tree/page.hpp"
#include "tests/out_of_tree/script.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

namespace fs = std::filesystem;

const std::string kRoot = FOURGE_SOURCE_DIR;

Page page() { return read_page(read_text(kRoot + "/docs/adding_an_op.md")); }

std::string last_lines(const std::string& text, const std::string& like) {
  const auto count = static_cast<std::size_t>(std::count(like.begin(), like.end(), '\n'));
  std::size_t start = text.size();
  for (std::size_t i = 0; i <= count && start != 0; ++i) {
    const auto end = text.rfind('\n', start - 1);
    start = end == std::string::npos ? 0 : end;
  }
  return text.substr(start == 0 ? 0 : start + 1);
}

}  // namespace

TEST_CASE("the blocks of a page", "[out_of_tree]") {
  const Page found = read_page("a\nFile `x/y.hpp`:\n\n```cpp\nint a;\n```\nb\n```sh\nls\n```\n");
  REQUIRE(found.files.size() == 1);
  CHECK(found.files.at("x/y.hpp") == "int a;\n");
  CHECK(found.blocks.at("sh").front() == "ls\n");
  CHECK_THROWS(read_page("```cpp\nint a;\n"));
  CHECK_THROWS(read_page("File `x`:\n\nb\n"));
  CHECK(last_lines("a\nb\nc\n", "x\ny\n") == "b\nc\n");
}

TEST_CASE("the page's files are those of the example", "[out_of_tree]") {
  const std::string example = kRoot + "/examples/custom_op";
  const Page found = page();
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(example)) {
    if (entry.is_regular_file()) {
      const std::string name = fs::relative(entry.path(), example).generic_string();
      INFO(name);
      REQUIRE(found.files.count(name) == 1);
      CHECK(found.files.at(name) == read_text(entry.path()));
      ++files;
    }
  }
  CHECK(found.files.size() == files);
  CHECK(files >= 6);
}

TEST_CASE("the page's project, built with the page's commands, does what the page says",
          "[out_of_tree]") {
  const Scratch scratch;
  const std::string prefix = scratch.path() + "/prefix";
  const auto installed =
      run_script(scratch.path(), quoted(FOURGE_CMAKE) + " --install " + quoted(FOURGE_BUILD_DIR) +
                                     " --prefix " + quoted(prefix) + "\n");
  INFO(installed.all);
  REQUIRE(installed.ok);

  const Page found = page();
  const std::string project = scratch.path() + "/project";
  for (const auto& [name, text] : found.files) {
    write_text(project + "/" + name, text);
  }
  ::setenv("FOURGE_PREFIX", prefix.c_str(), 1);
  ::setenv("FOURGE_CACHE_DIR", scratch.cache().c_str(), 1);
  ::setenv("CXX", FOURGE_CXX, 1);
  ::setenv("CXXFLAGS", FOURGE_CXXFLAGS, 1);
  // NVRTC leaves an allocation of its own behind.
  ::setenv("ASAN_OPTIONS", "detect_leaks=0", 0);
  REQUIRE(found.blocks.at("sh").size() == 1);
  REQUIRE(found.blocks.at("text").size() == 1);
  const std::string commands = found.blocks.at("sh").front();
  std::string expected = found.blocks.at("text").front();

  const auto first = run_script(project, commands);
  INFO(first.all);
  REQUIRE(first.ok);
  CHECK(last_lines(first.out, expected) == expected);
  CHECK(scratch.files(".fourge").size() == 1);

  const auto word = expected.rfind("compiled");
  REQUIRE(word != std::string::npos);
  expected.replace(word, std::string("compiled").size(), "disk");
  const auto second = run_script(project, commands);
  INFO(second.all);
  REQUIRE(second.ok);
  CHECK(last_lines(second.out, expected) == expected);

  // Nothing of where the templates lie is in the cache.
  for (const auto& entry : scratch.files(".fourge")) {
    CHECK(read_text(entry).find(scratch.path()) == std::string::npos);
  }
}

}  // namespace fourge::tests
