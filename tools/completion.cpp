#include "tools/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

namespace fourge::tools {
namespace {

// In single quotes, for bash and zsh.
std::string shell_quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return result + "'";
}

std::string fish_quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    result += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  }
  return result + "'";
}

// Descriptions are one line, and end before the details.
std::string one_line(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  return line;
}

// The lines of a case statement that follow the words as far as they name a command.
std::string path_patterns(const std::vector<CommandModel>& models) {
  std::vector<std::string> patterns;
  for (const CommandModel& model : models) {
    if (!model.path.empty()) {
      const std::string parent =
          fmt::format("{}", fmt::join(model.path.begin(), model.path.end() - 1, " "));
      patterns.push_back(shell_quoted(parent + " " + model.path.back()));
    }
  }
  return fmt::format("{}", fmt::join(patterns, " | "));
}

// What may stand next in a command: its own ones, its options, what a positional argument may be.
std::vector<std::string> words_of(const CommandModel& model) {
  std::vector<std::string> words = model.children;
  for (const CommandOption& option : model.options) {
    const auto& more = option.positional ? option.choices : option.names;
    words.insert(words.end(), more.begin(), more.end());
  }
  return words;
}

// One line of the case statement over "COMMAND:WORD BEFORE".
template <class Files, class Choices>
std::string value_cases(const std::vector<CommandModel>& models, const Files& files,
                        const Choices& choices) {
  std::string text;
  for (const CommandModel& model : models) {
    for (const CommandOption& option : model.options) {
      if (option.positional || option.value.empty()) {
        continue;
      }
      std::vector<std::string> patterns;
      for (const std::string& name : option.names) {
        patterns.push_back(shell_quoted(model.name() + ":" + name));
      }
      text += fmt::format("    {}) {} ;;\n", fmt::join(patterns, " | "),
                          option.takes_file        ? files()
                          : option.choices.empty() ? std::string("return")
                                                   : choices(option.choices));
    }
  }
  return text;
}

bool has_file_argument(const CommandModel& model) {
  return std::any_of(model.options.begin(), model.options.end(), [](const CommandOption& option) {
    return option.positional && option.takes_file;
  });
}

}  // namespace

std::string bash_completion(const std::vector<CommandModel>& models) {
  std::string text = fmt::format(
      "# bash completion for fourge; made by `fourge completion bash`.\n"
      "_fourge() {{\n"
      "  local current=\"${{COMP_WORDS[COMP_CWORD]}}\" before=\"${{COMP_WORDS[COMP_CWORD - 1]}}\"\n"
      "  local command=\"\" words=\"\" i\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    case \"$command ${{COMP_WORDS[i]}}\" in\n"
      "      {}) command=\"${{command:+$command }}${{COMP_WORDS[i]}}\" ;;\n"
      "    esac\n"
      "  done\n"
      "  COMPREPLY=()\n"
      "  case \"$command:$before\" in\n",
      path_patterns(models));
  text += value_cases(
      models, [] { return std::string("compopt -o default; return"); },
      [](const std::vector<std::string>& choices) {
        return fmt::format("mapfile -t COMPREPLY < <(compgen -W {} -- \"$current\"); return",
                           shell_quoted(fmt::format("{}", fmt::join(choices, " "))));
      });
  text += "  esac\n  case \"$command\" in\n";
  for (const CommandModel& model : models) {
    text += fmt::format("    {}) words={}{} ;;\n", shell_quoted(model.name()),
                        shell_quoted(fmt::format("{}", fmt::join(words_of(model), " "))),
                        has_file_argument(model) ? "; compopt -o default" : "");
  }
  return text +
         "  esac\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "}\n"
         "complete -F _fourge fourge\n";
}

namespace {

// "word:description" for _describe.
std::string zsh_item(const std::string& word, const std::string& description) {
  std::string escaped;
  for (const char c : word) {
    escaped += c == ':' ? std::string("\\:") : std::string(1, c);
  }
  return shell_quoted(escaped + ":" + one_line(description));
}

std::string zsh_items(const CommandModel& model, const std::vector<CommandModel>& models) {
  std::vector<std::string> items;
  for (const CommandModel& child : models) {
    if (child.path.size() == model.path.size() + 1 &&
        std::equal(model.path.begin(), model.path.end(), child.path.begin())) {
      items.push_back(zsh_item(child.path.back(), child.description));
    }
  }
  for (const CommandOption& option : model.options) {
    for (const std::string& word : option.positional ? option.choices : option.names) {
      items.push_back(zsh_item(word, option.positional ? "" : option.description));
    }
  }
  return fmt::format("{}", fmt::join(items, " "));
}

}  // namespace

std::string zsh_completion(const std::vector<CommandModel>& models) {
  std::string text = fmt::format(
      "#compdef fourge\n"
      "# zsh completion for fourge; made by `fourge completion zsh`.\n"
      "_fourge() {{\n"
      "  local command=\"\" i\n"
      "  local -a items\n"
      "  for ((i = 2; i < CURRENT; ++i)); do\n"
      "    case \"$command ${{words[i]}}\" in\n"
      "      {}) command=\"${{command:+$command }}${{words[i]}}\" ;;\n"
      "    esac\n"
      "  done\n"
      "  case \"$command:${{words[CURRENT - 1]}}\" in\n",
      path_patterns(models));
  text += value_cases(
      models, [] { return std::string("_files; return"); },
      [](const std::vector<std::string>& choices) {
        return fmt::format("compadd -- {}; return", fmt::join(choices, " "));
      });
  text += "  esac\n  case \"$command\" in\n";
  for (const CommandModel& model : models) {
    text += fmt::format("    {}) items=({}){} ;;\n", shell_quoted(model.name()),
                        zsh_items(model, models), has_file_argument(model) ? "; _files" : "");
  }
  return text +
         "  esac\n"
         "  _describe fourge items\n"
         "}\n"
         "if [ \"$funcstack[1]\" = \"_fourge\" ]; then _fourge \"$@\"; else compdef _fourge "
         "fourge; fi\n";
}

namespace {

// The condition that the words so far name this command and none below it.
std::string fish_condition(const CommandModel& model) {
  std::string condition;
  for (const std::string& word : model.path) {
    condition +=
        fmt::format("{}__fish_seen_subcommand_from {}", condition.empty() ? "" : "; and ", word);
  }
  if (model.path.empty()) {
    return "__fish_use_subcommand";
  }
  if (!model.children.empty()) {
    condition +=
        fmt::format("; and not __fish_seen_subcommand_from {}", fmt::join(model.children, " "));
  }
  return condition;
}

std::string fish_option(const std::string& condition, const CommandOption& option) {
  std::string text = fmt::format("complete -c fourge -n {}", fish_quoted(condition));
  if (option.positional) {
    if (option.choices.empty()) {
      return option.takes_file ? text + " -F\n" : "";
    }
    return text +
           fmt::format(" -a {}\n", fish_quoted(fmt::format("{}", fmt::join(option.choices, " "))));
  }
  for (const std::string& name : option.names) {
    text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  if (!option.value.empty()) {
    text += option.takes_file ? " -r -F" : " -x";
    if (!option.choices.empty()) {
      text += " -a " + fish_quoted(fmt::format("{}", fmt::join(option.choices, " ")));
    }
  }
  return text + " -d " + fish_quoted(one_line(option.description)) + "\n";
}

}  // namespace

std::string fish_completion(const std::vector<CommandModel>& models) {
  std::string text =
      "# fish completion for fourge; made by `fourge completion fish`.\n"
      "complete -c fourge -f\n";
  for (const CommandModel& model : models) {
    const std::string condition = fish_condition(model);
    for (const CommandModel& child : models) {
      if (child.path.size() == model.path.size() + 1 &&
          std::equal(model.path.begin(), model.path.end(), child.path.begin())) {
        text += fmt::format("complete -c fourge -n {} -a {} -d {}\n", fish_quoted(condition),
                            child.path.back(), fish_quoted(one_line(child.description)));
      }
    }
    for (const CommandOption& option : model.options) {
      text += fish_option(condition, option);
    }
  }
  return text;
}

}  // namespace fourge::tools
