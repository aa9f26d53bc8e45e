#include "runtime/template_scanner.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>
#include <algorithm>
#include <array>

namespace fourge {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; }

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && is_blank(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

std::string_view first_word(std::string_view text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_word);
  return text.substr(0, static_cast<std::size_t>(end - text.begin()));
}

bool holds_word(std::string_view text, std::string_view word) {
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) {
      return true;
    }
  }
  return false;
}

class Scanner {
 public:
  explicit Scanner(const std::string& shown) : shown_(shown) {}

  std::vector<TemplateInclude> scan(std::string_view text) {
    if (text.find('\0') != std::string_view::npos) {
      refuse("it holds a zero byte; template files are plain text");
    }
    for (line_ = 1; !text.empty(); ++line_) {
      const auto end = std::min(text.find('\n'), text.size() - 1);
      const auto line = text.substr(0, end + 1);
      text.remove_prefix(end + 1);
      const bool in_comment = in_comment_;
      scan_line(line.ends_with('\n') ? line.substr(0, line.size() - 1) : line, in_comment);
    }
    return std::move(includes_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorKind::invalid_argument, fmt::format("{}:{}: {}", shown_, line_, what));
  }

  // Comments become one blank; a comment may go on in the next line.
  std::string code_of(std::string_view line) {
    std::string code;
    char quote = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const auto pair = line.substr(i, 2);
      if (in_comment_) {
        in_comment_ = pair != "*/";
        i += in_comment_ ? 0 : 1;
      } else if (quote != 0) {
        code += line[i];
        if (line[i] == '\\' && i + 1 < line.size()) {
          code += line[++i];
        } else if (line[i] == quote) {
          quote = 0;
        }
      } else if (pair == "//") {
        break;
      } else if (pair == "/*") {
        code += ' ';
        in_comment_ = true;
        ++i;
      } else {
        // A digit before it: the separator in 1'000.
        const bool separator = line[i] == '\'' && i > 0 && is_word(line[i - 1]);
        quote = (line[i] == '"' || line[i] == '\'') && !separator ? line[i] : quote;
        code += line[i];
      }
    }
    return code;
  }

  // The generator takes out lines that begin with these, without a look at what is around them.
  static constexpr std::string_view kPasted = "#include \"";
  static constexpr std::string_view kOnce = "#pragma once";

  void scan_line(std::string_view line, bool in_comment) {
    const std::string code = code_of(line);
    if (in_comment && (line.starts_with(kPasted) || line.starts_with(kOnce))) {
      refuse(fmt::format("{} inside of a comment; remove it, or write \"//\" before it",
                         first_word(line.substr(1))));
    }
    if (line.starts_with(kOnce) && !ends_here(line.substr(kOnce.size()))) {
      refuse("write #pragma once alone in its line");
    }
    for (const std::string_view word :
         {"__DATE__", "__TIME__", "__TIMESTAMP__", "__has_include", "__has_include_next"}) {
      if (holds_word(code, word)) {
        refuse(fmt::format("{} is not allowed: a kernel's bytes must follow from its source alone",
                           word));
      }
    }
    const auto text = without_blanks(code);
    if (text.starts_with('#')) {
      directive(line, without_blanks(text.substr(1)));
    } else if (text.starts_with("%:")) {
      refuse("write \"#\" for a directive");
    }
  }

  void directive(std::string_view line, std::string_view text) {
    const auto word = first_word(text);
    if (word == "if" || word == "ifdef" || word == "ifndef") {
      ++conditions_;
    } else if (word == "endif") {
      conditions_ -= conditions_ > 0 ? 1 : 0;
    } else if (word == "include") {
      include(line);
    } else if (word == "include_next" || word == "import" || word == "embed") {
      refuse(fmt::format("#{} is not allowed; use #include \"NAME\"", word));
    } else if (text.ends_with('\\') && word.size() + 1 == text.size()) {
      refuse("a directive's name must not be broken over two lines");
    }
  }

  // Whether nothing follows but a comment of this line.
  static bool ends_here(std::string_view rest) {
    rest = without_blanks(rest);
    return rest.empty() || (rest.starts_with("//") && !rest.ends_with('\\'));
  }

  void include(std::string_view line) {
    if (without_blanks(line.substr(line.find("include") + 7)).starts_with('<')) {
      refuse(
          "includes <...>; there are no system headers in a kernel: use fourge's "
          "\"device/...\" files or your own");
    }
    const auto quoted = line.substr(std::min(kPasted.size(), line.size()));
    const auto end = quoted.find('"');
    if (!line.starts_with(kPasted) || end == std::string_view::npos ||
        !ends_here(quoted.substr(end + 1))) {
      refuse("write an include as #include \"NAME\", alone in its line and at its start");
    }
    const auto name = quoted.substr(0, end);
    if (!is_template_name(name)) {
      refuse(
          fmt::format("includes \"{}\"; a name is given from the root of the template directory, "
                      "of letters, digits, _ . - +, and no part of it is \".\" or \"..\"",
                      name));
    }
    if (conditions_ > 0) {
      refuse(
          fmt::format("includes \"{}\" inside of an #if; includes stand outside (and instead of "
                      "an include guard, #pragma once)",
                      name));
    }
    includes_.push_back({line_, std::string(name)});
  }

  const std::string& shown_;
  std::size_t line_ = 0;
  bool in_comment_ = false;
  int conditions_ = 0;
  std::vector<TemplateInclude> includes_;
};

}  // namespace

bool is_template_name(std::string_view name) {
  if (name.empty() || name.front() == '/') {
    return false;
  }
  while (!name.empty()) {
    const auto slash = std::min(name.find('/'), name.size());
    const auto part = name.substr(0, slash);
    const bool plain = std::all_of(part.begin(), part.end(), [](char c) {
      return is_word(c) || c == '.' || c == '-' || c == '+';
    });
    if (!plain || part.empty() || part == "." || part == ".." || slash + 1 == name.size()) {
      return false;
    }
    name.remove_prefix(std::min(slash + 1, name.size()));
  }
  return true;
}

std::vector<TemplateInclude> scan_template(std::string_view text, const std::string& shown) {
  return Scanner(shown).scan(text);
}

}  // namespace fourge
