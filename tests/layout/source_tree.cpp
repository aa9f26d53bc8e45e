#include "tests/layout/source_tree.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace fourge::tests {
namespace {

namespace fs = std::filesystem;

// Of the directories in the root, these are ours; what else may lie there is somebody's build.
constexpr const char* kDirectories[] = {
    ".ci",       "cache",   "cmake", "docs", "examples", "jit", "kernel_templates",
    "reference", "runtime", "tests", "tools"};

void add_file(const fs::path& root, const fs::path& path, std::vector<SourceFile>& files) {
  files.push_back({path.lexically_relative(root).generic_string(), read_text_file(path.string())});
}

}  // namespace

std::string read_text_file(const std::string& path) {
  std::ifstream input(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(input), std::istreambuf_iterator<char>()};
  if (!input) {
    throw std::runtime_error("cannot read " + path);
  }
  return text;
}

std::vector<SourceFile> read_source_tree(const std::string& root) {
  std::vector<SourceFile> files;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.is_regular_file() && !entry.is_symlink()) {
      add_file(root, entry.path(), files);
    }
  }
  for (const char* directory : kDirectories) {
    for (auto at = fs::recursive_directory_iterator(fs::path(root) / directory);
         at != fs::recursive_directory_iterator(); ++at) {
      const std::string name = at->path().filename().string();
      if (at->is_directory() && (name == "vectors" || name == "seeds")) {
        at.disable_recursion_pending();
      } else if (at->is_regular_file() && !at->is_symlink()) {
        add_file(root, at->path(), files);
      }
    }
  }
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace fourge::tests
