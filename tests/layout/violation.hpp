// One thing in a source file that the project's rules forbid.
#pragma once

#include <string>
#include <vector>

namespace fourge::tests {

struct Violation {
  std::string path;      // below the repository's root
  std::size_t line = 0;  // from 1; 0: the file as a whole
  std::string what;
};

using Violations = std::vector<Violation>;

}  // namespace fourge::tests
