// The rules, applied to the project.
#include <string>

#include "tests/layout/include_rules.hpp"
#include "tests/layout/source_tree.hpp"
#include "tests/layout/text_rules.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

const std::vector<SourceFile>& tree() {
  static const std::vector<SourceFile> kTree = read_source_tree(FOURGE_SOURCE_DIR);
  return kTree;
}

std::string describe(const Violations& violations) {
  std::string text;
  for (const Violation& violation : violations) {
    text += violation.path + ":" + std::to_string(violation.line) + ": " + violation.what + "\n";
  }
  return text;
}

template <class Check>
void check_tree(const Check& check) {
  Violations all;
  for (const SourceFile& file : tree()) {
    const Violations found = check(file.path, file.text);
    all.insert(all.end(), found.begin(), found.end());
  }
  INFO(describe(all));
  CHECK(all.empty());
}

bool in_tree(const std::string& path) {
  for (const SourceFile& file : tree()) {
    if (file.path == path) {
      return true;
    }
  }
  return false;
}

}  // namespace

TEST_CASE("the whole tree is looked at", "[layout]") {
  for (const char* path :
       {"CMakeLists.txt", "README.md", ".ci/run", "cache/entry.hpp", "jit/target.cpp",
        "kernel_templates/device/types.cuh", "reference/nvfp4.cpp",
        "runtime/include/fourge/runtime.hpp", "runtime/runtime.cpp", "tests/layout/tree_test.cpp",
        "tools/main.cpp", "tools/quickstart"}) {
    CAPTURE(path);
    CHECK(in_tree(path));
  }
}

TEST_CASE("the project's includes follow the arrows", "[layout]") { check_tree(check_includes); }

TEST_CASE("the project's files keep to the rules", "[layout]") { check_tree(check_text); }

}  // namespace fourge::tests
