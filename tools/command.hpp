// What the subcommands share: how they are defined, and the action that the command line asked for.
// One source file for each subcommand; add_NAME() defines its options.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "tools/common_options.hpp"
#include "tools/exit_code.hpp"

namespace fourge::tools {

struct CommandLine {
  CommonOptions common;
  std::function<ExitCode()> action;
};

// A subcommand that takes the common options too. Its help ends with the details (an example, what
// else is to be known; may be empty) and the exit codes.
CLI::App& add_command(CLI::App& parent, CommandLine& line, const std::string& name,
                      const std::string& description, const std::string& details = {});
void add_common_options(CLI::App& app, CommonOptions& common);
// For an unsigned number, with one of these letters or none behind it: CLI11 takes a minus sign, and what is too large for
// the largest.
CLI::Validator whole_number(const std::string& units = {});
// Of every option below app: an unset variable of a shell must not mean that the option was not given.
void refuse_empty_values(CLI::App& app);

void add_run(CLI::App& app, CommandLine& line);
void add_bench(CLI::App& app, CommandLine& line);
void add_tune(CLI::App& app, CommandLine& line);
void add_build(CLI::App& app, CommandLine& line);
void add_inspect(CLI::App& app, CommandLine& line);
void add_explain(CLI::App& app, CommandLine& line);
void add_prewarm(CLI::App& app, CommandLine& line);
// jit, below `fourge bench`.
void add_bench_jit(CLI::App& parent, CommandLine& line);
// allreduce, below `fourge bench` and `fourge tune`.
void add_bench_allreduce(CLI::App& parent, CommandLine& line);
void add_tune_allreduce(CLI::App& parent, CommandLine& line);
// What `fourge bench jit` starts again and again.
void add_probe(CLI::App& app, CommandLine& line);
void add_worker(CLI::App& app, CommandLine& line);
void add_cache(CLI::App& app, CommandLine& line);
// stats and trim, below `fourge cache`.
void add_cache_stats(CLI::App& parent, CommandLine& line);
// export, import and keygen, below `fourge cache`.
void add_cache_bundle(CLI::App& parent, CommandLine& line);
void add_variants(CLI::App& app, CommandLine& line);
void add_doctor(CLI::App& app, CommandLine& line);
// Texts made from the definitions of all commands.
void add_completion(CLI::App& app, CommandLine& line);
void add_man(CLI::App& app, CommandLine& line);

}  // namespace fourge::tools
