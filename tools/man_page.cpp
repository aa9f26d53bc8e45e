#include "tools/man_page.hpp"

#include <fmt/format.h>

#include <sstream>
#include <string_view>

#include "tools/exit_code.hpp"

namespace fourge::tools {
namespace {

// Text as roff takes it: what would be a request or an escape is none.
std::string roff(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool line_begins = result.empty() || result.back() == '\n';
    if (line_begins && (c == '.' || c == '\'')) {
      result += "\\&";
    }
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
  }
  return result;
}

// An argument of a macro.
std::string roff_argument(std::string_view text) {
  std::string result = "\"";
  for (const char c : roff(text)) {
    result += c == '"' ? std::string("\\(dq") : std::string(1, c);
  }
  return result + "\"";
}

std::string option_title(const CommandOption& option) {
  std::string title;
  for (const std::string& name : option.names) {
    title += (title.empty() ? "" : ", ") + name;
  }
  if (option.positional) {
    return option.value.empty() || option.value == "TEXT" ? title : option.value;
  }
  return option.value.empty() ? title : title + " " + option.value;
}

std::string option_entry(const CommandOption& option) {
  std::string text =
      fmt::format(".TP\n.B {}\n{}", roff(option_title(option)), roff(option.description));
  if (option.required) {
    text += " (required)";
  }
  // Operations and targets are too many; `fourge variants` lists them.
  if (!option.choices.empty() && option.choices.size() < 8) {
    text += ": ";
    for (const std::string& choice : option.choices) {
      text += (choice == option.choices.front() ? "" : ", ") + roff(choice);
    }
  }
  return text + "\n";
}

constexpr std::string_view kCommonGroup = "Common options";

std::string options_of(const CommandModel& model, bool common) {
  std::string text;
  for (const CommandOption& option : model.options) {
    const bool is_help = option.names.back() == "--help";
    if (common == (option.group == kCommonGroup) && (!is_help || model.path.empty())) {
      text += option_entry(option);
    }
  }
  return text;
}

// Lines as they are: examples and lists.
std::string verbatim(const std::string& text) {
  return text.empty() ? "" : fmt::format(".PP\n.nf\n{}\n.fi\n", roff(text));
}

std::string command_section(const CommandModel& model) {
  std::string arguments = model.children.empty() ? "" : " COMMAND";
  for (const CommandOption& option : model.options) {
    if (option.positional) {
      const std::string title = option_title(option);
      arguments += option.required ? " " + title : " [" + title + "]";
    }
  }
  return fmt::format(".SS {}\n{}\n", roff_argument("fourge " + model.name() + arguments),
                     roff(model.description)) +
         options_of(model, false) + verbatim(model.details);
}

}  // namespace

std::string man_page(const std::vector<CommandModel>& models) {
  const CommandModel& top = models.front();
  std::string text = fmt::format(
      ".\\\" Made by `fourge man` from the command's own definitions.\n"
      ".TH FOURGE 1 \"\" {} \"User Commands\"\n"
      ".SH NAME\nfourge \\- {}\n"
      ".SH SYNOPSIS\n.B fourge\n.I COMMAND\n[\\fIOPTIONS\\fR]\n"
      ".SH DESCRIPTION\nEvery command has\n.BR \\-\\-help .\n",
      roff_argument("fourge " FOURGE_VERSION), roff(top.description));
  text += verbatim(top.details);
  text += ".SH OPTIONS\n" + options_of(top, false);
  text += ".SH \"COMMON OPTIONS\"\nThose of every command.\n" + options_of(top, true);
  text += ".SH COMMANDS\n";
  for (const CommandModel& model : models) {
    if (!model.path.empty()) {
      text += command_section(model);
    }
  }
  std::istringstream codes(kExitCodeHelp);
  text += ".SH \"EXIT STATUS\"\n";
  for (std::string line; std::getline(codes, line);) {
    const std::size_t digit = line.find_first_of("012345");
    if (line.starts_with("  ") && digit == 2) {
      text += fmt::format(".TP\n.B {}\n{}\n", line.substr(2, 1), roff(line.substr(5)));
    }
  }
  return text;
}

}  // namespace fourge::tools
