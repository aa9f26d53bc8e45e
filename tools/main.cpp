#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tools/command.hpp"
#include "tools/report.hpp"

namespace fourge::tools {
namespace {

struct Command {
  std::string_view name;
  void (*add)(CLI::App& app, CommandLine& line);
  bool alone = true;  // does not look at the others' definitions
};

constexpr Command kCommands[] = {{"run", add_run},
                                 {"inspect", add_inspect},
                                 {"build", add_build},
                                 {"prewarm", add_prewarm},
                                 {"cache", add_cache},
                                 {"explain", add_explain},
                                 {"variants", add_variants},
                                 {"bench", add_bench},
                                 {"tune", add_tune},
                                 {"doctor", add_doctor},
                                 {"completion", add_completion, false},
                                 {"man", add_man, false},
                                 {"worker", add_worker},
                                 {"probe", add_probe}};

// first: the first argument. If it names a command, that one is all there is to define: a worker process has
// better things to do with half a millisecond.
void define(CLI::App& app, CommandLine& line, std::string_view first) {
  app.name("fourge");
  app.set_version_flag("--version", "fourge " FOURGE_VERSION);
  app.require_subcommand(1);
  app.footer(
      std::string(
          "\nA kernel spec is written as\n"
          "  nvfp4_quantize[in=bf16,layout=128x4,scale=tensor,math=exact,tpc=1,4over6=off]@sm_90a"
          "\nAxes left out are at their default; `fourge variants` lists them.\n\n") +
      kExitCodeHelp);
  add_common_options(app, line.common);
  const auto* const asked =
      std::find_if(std::begin(kCommands), std::end(kCommands),
                   [&](const Command& command) { return command.name == first; });
  if (asked != std::end(kCommands) && asked->alone) {
    asked->add(app, line);
    return;
  }
  for (const Command& command : kCommands) command.add(app, line);
}

// CLI11 says only that an argument was not expected, or that a subcommand is required.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  std::string path = app.get_name();
  const CLI::App* reached = &app;
  while (!reached->get_subcommands().empty()) {
    reached = reached->get_subcommands().front();
    path += " " + reached->get_name();
  }
  std::vector<std::string> names;
  for (const CLI::App* command : reached->get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) {
      names.push_back(command->get_name());
    }
  }
  const std::vector<std::string> left = app.remaining(true);
  const auto word = std::find_if(left.begin(), left.end(),
                                 [](const std::string& text) { return !text.starts_with('-'); });
  if (reached->get_require_subcommand_min() != 0 && word != left.end()) {
    return fmt::format("unknown command \"{}\"; known: {}", *word, fmt::join(names, ", "));
  }
  return fmt::format("{} (see {} --help)", error.what(), path);
}

// What --help and --version print.
int print_asked(const CLI::App& app, const CLI::ParseError& error, bool json) {
  std::ostringstream text;
  const int code = app.exit(error, text, text);
  try {
    print_text(text.str());
    return code;
  } catch (const std::exception& problem) {
    return static_cast<int>(report_exception(problem, json));
  }
}

int run(int argc, char** argv) {
  CLI::App app("NVFP4 kernels, compiled on first use and cached");
  CommandLine line;
  // A reader that goes away is an error of ours, not the end by a signal.
  std::signal(SIGPIPE, SIG_IGN);
  const bool json = std::any_of(argv, argv + argc, [](const char* argument) {
    return std::string_view(argument) == "--json";
  });
  try {
    define(app, line, argc > 1 ? argv[1] : "");
    refuse_empty_values(app);
    app.parse(argc, argv);
    return static_cast<int>(line.action());
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      return print_asked(app, error, json);
    }
    report_error("usage", usage_message(app, error), json);
    return static_cast<int>(ExitCode::bad_input);
  } catch (const std::exception& error) {
    return static_cast<int>(report_exception(error, json));
  }
}

}  // namespace
}  // namespace fourge::tools

int main(int argc, char** argv) {
  try {
    return fourge::tools::run(argc, argv);
  } catch (...) {
    return static_cast<int>(fourge::tools::ExitCode::failure);
  }
}
