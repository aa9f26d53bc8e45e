#include "tests/layout/text_rules.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <initializer_list>

namespace fourge::tests {
namespace {

using Words = std::initializer_list<std::string_view>;

bool has_extension(std::string_view path, Words extensions) {
  return std::any_of(extensions.begin(), extensions.end(),
                     [path](std::string_view extension) { return path.ends_with(extension); });
}

bool below(std::string_view path, Words directories) {
  return std::any_of(directories.begin(), directories.end(),
                     [path](std::string_view directory) { return path.starts_with(directory); });
}

bool is_code(std::string_view path) { return has_extension(path, {".cpp", ".hpp", ".cuh"}); }

bool is_limited(std::string_view path, std::string_view text) {
  return is_code(path) || has_extension(path, {".sh", ".cmake", "CMakeLists.txt"}) ||
         text.starts_with("#!");
}

bool is_word_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool holds_word(std::string_view line, std::string_view word) {
  for (auto at = line.find(word); at != std::string_view::npos; at = line.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word_character(line[at - 1])) &&
        (end == line.size() || !is_word_character(line[end]))) {
      return true;
    }
  }
  return false;
}

std::string_view without_comment(std::string_view line) { return line.substr(0, line.find("//")); }

// Spelled in parts, because this file is checked too.
const std::array<std::string, 2>& unfinished_words() {
  static const std::array<std::string, 2> kWords{std::string("TO") + "DO",
                                                 std::string("FIX") + "ME"};
  return kWords;
}

// What is wrong with one line.
std::vector<std::string> line_faults(std::string_view path, std::string_view line) {
  std::vector<std::string> faults;
  for (const std::string& word : unfinished_words()) {
    if (holds_word(line, word)) {
      faults.push_back(word + ": finish it, or open an issue");
    }
  }
  if (!is_code(path)) {
    return faults;
  }
  const std::string_view code = without_comment(line);
  if (path != "runtime/options.cpp" && !below(path, {"tests/", "tools/"}) &&
      (holds_word(code, "getenv") || holds_word(code, "secure_getenv"))) {
    faults.emplace_back("getenv: only Options::from_environment reads the environment");
  }
  if (below(path, {"runtime/", "jit/", "cache/", "reference/", "kernel_templates/"})) {
    for (const std::string_view word : {"printf", "fprintf", "vprintf", "vfprintf", "puts",
                                        "putchar", "perror", "cout", "cerr", "clog"}) {
      if (holds_word(code, word)) {
        faults.push_back(std::string(word) + ": the library does not print");
      }
    }
    if (code.find("fmt::print(") != std::string_view::npos) {
      faults.emplace_back("fmt::print: the library does not print");
    }
  }
  return faults;
}

}  // namespace

Violations check_text(std::string_view path, std::string_view text) {
  Violations found;
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  if (lines > kMaximumLines && is_limited(path, text)) {
    found.push_back({std::string(path), 0,
                     std::to_string(lines) + " lines; at most " + std::to_string(kMaximumLines)});
  }
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1);
    const bool terminated = text[end] == '\n';
    for (std::string& fault : line_faults(path, text.substr(0, terminated ? end : end + 1))) {
      found.push_back({std::string(path), number, std::move(fault)});
    }
    text.remove_prefix(end + 1);
  }
  return found;
}

}  // namespace fourge::tests
