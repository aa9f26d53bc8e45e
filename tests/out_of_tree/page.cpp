#include "tests/out_of_tree/page.hpp"

#include <sstream>
#include <stdexcept>

namespace fourge::tests {
namespace {

constexpr const char* kFence = "```";
const std::string kFile = "File `";

std::string read_block(std::istream& lines) {
  std::string block;
  for (std::string line; std::getline(lines, line);) {
    if (line == kFence) {
      return block;
    }
    block += line + '\n';
  }
  throw std::runtime_error("a code block is not closed");
}

}  // namespace

Page read_page(const std::string& text) {
  Page page;
  std::istringstream lines(text);
  std::string file;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(kFence, 0) == 0) {
      std::string block = read_block(lines);
      if (!file.empty()) {
        page.files[file] = block;
        file.clear();
      }
      page.blocks[line.substr(3)].push_back(std::move(block));
    } else if (!line.empty()) {
      if (!file.empty()) {
        throw std::runtime_error("no code block follows the name of the file " + file);
      }
      const bool named = line.rfind(kFile, 0) == 0 && line.size() > kFile.size() + 2 &&
                         line.substr(line.size() - 2) == "`:";
      file = named ? line.substr(kFile.size(), line.size() - kFile.size() - 2) : "";
    }
  }
  return page;
}

}  // namespace fourge::tests
