#include "tests/layout/source_text.hpp"

#include <algorithm>
#include <cctype>

namespace fourge::tests {
namespace {

bool is_blank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// Reads a quoted text whose first quote is at `at`; at is behind its end afterwards.
std::string read_quoted(std::string_view source, std::size_t& at) {
  const char quote = source[at++];
  std::string text;
  while (at < source.size() && source[at] != quote) {
    if (source[at] == '\\' && at + 1 < source.size()) {
      ++at;
      text += source[at] == 'n' ? '\n' : source[at];
    } else {
      text += source[at];
    }
    ++at;
  }
  ++at;
  return text;
}

}  // namespace

std::vector<std::string> string_literals(std::string_view source) {
  std::vector<std::string> literals;
  bool joined = false;
  for (std::size_t at = 0; at < source.size();) {
    const auto pair = source.substr(at, 2);
    if (pair == "//") {
      at = std::min(source.find('\n', at), source.size());
    } else if (pair == "R\"") {
      const auto open = std::min(source.find('(', at), source.size());
      const auto end = ")" + std::string(source.substr(at + 2, open - at - 2)) + "\"";
      at = std::min(source.find(end, open), source.size() - 1) + end.size();
      joined = false;
    } else if (source[at] == '"') {
      std::string text = read_quoted(source, at);
      if (joined) {
        literals.back() += text;
      } else {
        literals.push_back(std::move(text));
      }
      joined = true;
    } else if (source[at] == '\'' &&
               (at == 0 || std::isalnum(static_cast<unsigned char>(source[at - 1])) == 0)) {
      read_quoted(source, at);
      joined = false;
    } else {
      joined = joined && is_blank(source[at]);
      ++at;
    }
  }
  return literals;
}

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> pieces;
  for (;;) {
    const auto end = text.find(separator);
    pieces.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return pieces;
    }
    text.remove_prefix(end + separator.size());
  }
}

bool holds_in_order(std::string_view text, const std::vector<std::string>& pieces) {
  for (const std::string& piece : pieces) {
    const auto at = text.find(piece);
    if (at == std::string_view::npos) {
      return false;
    }
    text.remove_prefix(at + piece.size());
  }
  return true;
}

std::string without_code(std::string_view page) {
  std::string text;
  bool fenced = false;
  for (const std::string& line : split(page, "\n")) {
    const bool fence = line.rfind("```", 0) == 0;
    fenced = fenced != fence;
    if (!fenced && !fence) {
      const auto pieces = split(line, "`");
      for (std::size_t i = 0; i < pieces.size(); i += 2) {
        text += pieces[i];
      }
      text += '\n';
    }
  }
  return text;
}

}  // namespace fourge::tests
