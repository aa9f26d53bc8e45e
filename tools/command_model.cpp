#include "tools/command_model.hpp"

#include <fourge/op_definition.hpp>
#include <fourge/target.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <string_view>

#include "tools/exit_code.hpp"

namespace fourge::tools {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

// "LEVEL:{debug,info}" has its choices in it; some kinds of values are known.
std::vector<std::string> choices_of(const std::string& type) {
  const std::size_t open = type.find(":{");
  const std::size_t close = type.find('}', open == std::string::npos ? 0 : open);
  if (open != std::string::npos && close != std::string::npos) {
    return split(std::string_view(type).substr(open + 2, close - open - 2), ',');
  }
  std::vector<std::string> choices;
  if (type == "OP" || type == "SPEC") {
    for (const OpDefinition* op : all_ops()) {
      choices.emplace_back(op->name);
    }
  } else if (type.starts_with("TARGET")) {
    for (const Target& target : Target::all()) {
      choices.push_back(target.text());
    }
  }
  return choices;
}

bool names_file(const std::string& value) {
  return value.starts_with("FILE") || value == "PATH" || value == "DIR" || value == "PEM";
}

CommandOption option_of(const CLI::Option& option) {
  CommandOption result;
  result.positional = option.get_positional();
  if (result.positional) {
    result.names.push_back(option.get_name(true));
  } else {
    result.names = split(option.get_name(false, true), ',');
  }
  if (option.get_expected_max() != 0 && option.get_type_size() != 0) {
    const std::string type = option.get_type_name();
    result.value = type.substr(0, type.find(':'));
    result.choices = choices_of(type);
    result.takes_file = names_file(result.value);
  }
  result.description = option.get_description();
  result.group = option.get_group();
  result.required = option.get_required();
  return result;
}

std::string details_of(const CLI::App& app) {
  std::string text = app.get_footer();
  const std::size_t codes = text.find(kExitCodeHelp);
  text = text.substr(0, codes);
  const std::size_t begin = text.find_first_not_of('\n');
  const std::size_t end = text.find_last_not_of('\n');
  return begin == std::string::npos ? std::string() : text.substr(begin, end + 1 - begin);
}

void add_models(const CLI::App& app, const std::vector<std::string>& path,
                std::vector<CommandModel>& models) {
  CommandModel model;
  model.path = path;
  model.description = app.get_description();
  model.details = details_of(app);
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_group().empty()) {
      model.options.push_back(option_of(*option));
    }
  }
  const auto children =
      app.get_subcommands([](const CLI::App* child) { return !child->get_group().empty(); });
  for (const CLI::App* child : children) {
    model.children.push_back(child->get_name());
  }
  models.push_back(std::move(model));
  for (const CLI::App* child : children) {
    std::vector<std::string> below = path;
    below.push_back(child->get_name());
    add_models(*child, below, models);
  }
}

}  // namespace

std::string CommandModel::name() const { return fmt::format("{}", fmt::join(path, " ")); }

std::vector<CommandModel> command_models(const CLI::App& app) {
  std::vector<CommandModel> models;
  add_models(app, {}, models);
  return models;
}

}  // namespace fourge::tools
