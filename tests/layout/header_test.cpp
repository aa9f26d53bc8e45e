// The public headers carry the contract: of an operation shapes, types, alignment, streams, overlap, errors
// and where its formulas come from; of the rest the rules for threads.
#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/layout/source_text.hpp"
#include "tests/layout/source_tree.hpp"
#include "tests/support/catch.hpp"

namespace fourge::tests {
namespace {

namespace fs = std::filesystem;

const std::string kRoot = std::string(FOURGE_SOURCE_DIR) + "/";

// The text before #include, comment signs left out and blanks made one.
std::string contract_of(const std::string& text) {
  std::string contract;
  for (const std::string& line : split(text, "\n")) {
    const auto comment = line.find("//");
    if (comment != std::string::npos) {
      contract += line.substr(comment + 2) + ' ';
    }
  }
  return std::regex_replace(contract, std::regex("\\s+"), " ");
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Operations that a header has argument structs for.
std::vector<std::string> operations_of(const std::string& text) {
  std::vector<std::string> names;
  const std::regex constant("kOp = \"([a-z0-9_]+)\"");
  for (std::sregex_iterator it(text.begin(), text.end(), constant), end; it != end; ++it) {
    names.push_back((*it)[1].str());
  }
  return names;
}

std::vector<std::string> missing_of(const std::string& contract,
                                    const std::vector<std::string>& parts) {
  std::vector<std::string> missing;
  std::copy_if(parts.begin(), parts.end(), std::back_inserter(missing),
               [&contract](const std::string& part) { return !holds(contract, part); });
  return missing;
}

}  // namespace

TEST_CASE("public headers carry their contract", "[headers]") {
  std::set<std::string> operations;
  for (const auto& entry : fs::directory_iterator(kRoot + "runtime/include/fourge")) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".hpp" || name == "export.hpp") {
      continue;
    }
    INFO(name);
    const std::string text = read_text_file(entry.path().string());
    const std::string contract = contract_of(text);
    const auto names = operations_of(text);
    if (names.empty()) {
      CHECK((holds(contract, "thread") || holds(contract, "Thread")));
      continue;
    }
    operations.insert(names.begin(), names.end());
    CHECK(missing_of(contract, {"aligned", "row-major", "asynchronous on the caller's stream",
                                "overlap", "Streams, threads and errors: <fourge/kernel.hpp>"}) ==
          std::vector<std::string>());
    CHECK((holds(contract, "docs/numerics.md") || holds(contract, "there is no arithmetic")));
  }
  // Every operation has a typed call.
  std::set<std::string> documented;
  const std::string table = read_text_file(kRoot + "docs/operators.md");
  const std::regex row("\n\\| `([a-z0-9_]+)` \\| executed on \\|");
  for (std::sregex_iterator it(table.begin(), table.end(), row), end; it != end; ++it) {
    documented.insert((*it)[1].str());
  }
  CHECK(operations == documented);
}

TEST_CASE("the common rules of calls are in one place", "[headers]") {
  const std::string contract =
      contract_of(read_text_file(kRoot + "runtime/include/fourge/kernel.hpp"));
  CHECK(missing_of(contract, {"memory ", "sizes ", "stream ", "return ", "threads ", "errors ",
                              "Error(invalid_argument)"}) == std::vector<std::string>());
  CHECK(missing_of("a b", {"a", "c"}) == std::vector<std::string>{"c"});
}

}  // namespace fourge::tests
