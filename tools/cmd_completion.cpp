// fourge completion, fourge man: texts for a shell and for man, made from the command line's definitions.
#include <memory>

#include "tools/command.hpp"
#include "tools/completion.hpp"
#include "tools/man_page.hpp"
#include "tools/report.hpp"

namespace fourge::tools {
namespace {

ExitCode print_completion(const CLI::App& app, const std::string& shell) {
  const auto models = command_models(app);
  print_text(shell == "bash"  ? bash_completion(models)
             : shell == "zsh" ? zsh_completion(models)
                              : fish_completion(models));
  return ExitCode::ok;
}

}  // namespace

void add_completion(CLI::App& app, CommandLine& line) {
  auto shell = std::make_shared<std::string>();
  CLI::App& command =
      add_command(app, line, "completion", "Print the completion script of a shell.",
                  "Example: source <(fourge completion bash)");
  command.add_option("shell", *shell, "Shell")
      ->required()
      ->type_name("SHELL")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command.callback([&app, &line, shell] {
    line.action = [&app, shell] { return print_completion(app, *shell); };
  });
}

void add_man(CLI::App& app, CommandLine& line) {
  CLI::App& command =
      add_command(app, line, "man", "Print the manual page.", "Example: man <(fourge man)");
  command.callback([&app, &line] {
    line.action = [&app] {
      print_text(man_page(command_models(app)));
      return ExitCode::ok;
    };
  });
}

}  // namespace fourge::tools
