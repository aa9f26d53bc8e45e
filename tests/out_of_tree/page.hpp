// The code blocks of a page of the documentation.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace fourge::tests {

struct Page {
  // Blocks after a line "File `NAME`:".
  std::map<std::string, std::string> files;
  // Blocks of that language, in order: "sh", "text".
  std::map<std::string, std::vector<std::string>> blocks;
};

// Throws std::runtime_error for a block that is not closed, or a named file without one.
Page read_page(const std::string& text);

}  // namespace fourge::tests
