// The files of the project, as they lie in the source directory.
#pragma once

#include <string>
#include <vector>

namespace fourge::tests {

struct SourceFile {
  std::string path;  // below the root, with '/'
  std::string text;
};

// All text files that are the project's own: no build directories, no known-answer vectors,
// no seeds of fuzz targets.
// Sorted by path. Throws std::runtime_error if one cannot be read.
std::vector<SourceFile> read_source_tree(const std::string& root);

std::string read_text_file(const std::string& path);

}  // namespace fourge::tests
