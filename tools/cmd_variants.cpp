// fourge variants: what can be asked for.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include <fourge/error.hpp>

#include <fstream>
#include <iterator>

#include "tools/c_arguments.hpp"
#include "tools/command.hpp"
#include "tools/operator_table.hpp"
#include "tools/output_file.hpp"
#include "tools/report.hpp"
#include "tools/spec_argument.hpp"

namespace fourge::tools {
namespace {

struct VariantsOptions {
  std::vector<std::string> ops;
  std::string targets;
  std::string filter;
  std::string table;
  std::string c_args;
};

Json op_json(const OpDefinition& op, const std::vector<KernelSpec>& specs, bool with_target) {
  Json axes = Json::array();
  for (const Axis& axis : op.axes) {
    Json values = Json::array();
    for (const AxisValue& value : axis.values) {
      values.push_back({{"value", value.text}, {"summary", value.summary}});
    }
    axes.push_back({{"name", axis.name},
                    {"summary", axis.summary},
                    {"default", axis.values.front().text},
                    {"values", values}});
  }
  Json variants = Json::array();
  for (const KernelSpec& spec : specs) {
    variants.push_back(with_target ? spec.text() : spec.text_without_target());
  }
  return {{"name", op.name}, {"summary", op.summary}, {"axes", axes}, {"variants", variants}};
}

std::string op_text(const OpDefinition& op, const std::vector<KernelSpec>& specs,
                    bool with_target) {
  std::string text =
      fmt::format("{}: {}\n\nAxes (the first value is the default):\n", op.name, op.summary);
  for (const Axis& axis : op.axes) {
    text += fmt::format("  {:<8} {}\n", axis.name, axis.summary);
    for (const AxisValue& value : axis.values) {
      text += fmt::format("    {:<8} {}\n", value.text, value.summary);
    }
  }
  text += fmt::format("\n{} variant{}:\n", specs.size(), specs.size() == 1 ? "" : "s");
  for (const KernelSpec& spec : specs) {
    text += fmt::format("  {}\n", with_target ? spec.text() : spec.text_without_target());
  }
  return text;
}

// Renews the table in a file of the documentation.
ExitCode renew_table(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw Error(ErrorKind::invalid_argument, fmt::format("{}: cannot be read", path));
  }
  const std::string old{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::string text = with_operator_table(old, path);
  if (text != old) {
    OutputFile output(path);
    output.write(text);
    output.commit();
  }
  print_text(fmt::format("{}: {}\n", path, text == old ? "up to date" : "renewed"));
  return ExitCode::ok;
}

ExitCode write_c_arguments(const std::string& path) {
  OutputFile output(path);
  output.write(c_arguments_header());
  output.commit();
  print_text(fmt::format("{}: written\n", path));
  return ExitCode::ok;
}

ExitCode variants(const VariantsOptions& options, const CommonOptions& common) {
  if (!options.table.empty()) {
    return renew_table(options.table);
  }
  if (!options.c_args.empty()) {
    return write_c_arguments(options.c_args);
  }
  const bool with_target = !options.targets.empty();
  // Without a target, any of them gives the list of axis values.
  const std::vector<Target> targets =
      with_target ? parse_targets(options.targets) : std::vector<Target>{Target::all().front()};
  Json ops = Json::array();
  std::string text;
  for (const auto& [op, specs] : select_variants(parse_ops(options.ops), targets, options.filter)) {
    ops.push_back(op_json(*op, specs, with_target));
    text += (text.empty() ? "" : "\n") + op_text(*op, specs, with_target);
  }
  Json known = Json::array();
  std::string known_text;
  for (const Target& target : Target::all()) {
    known.push_back(target.text());
    known_text += " " + target.text();
  }
  if (common.json) {
    print_json({{"targets", known}, {"ops", ops}});
  } else {
    print_text(fmt::format("{}\nTargets:{}\n", text, known_text));
  }
  return ExitCode::ok;
}

}  // namespace

void add_variants(CLI::App& app, CommandLine& line) {
  auto options = std::make_shared<VariantsOptions>();
  CLI::App& command = add_command(app, line, "variants",
                                  "List the operations, their axes and every legal variant.");
  command.add_option("--op", options->ops, "Only these operations")
      ->delimiter(',')
      ->type_name("OP");
  command.add_option("--target", options->targets, "Write specs for these targets, or for all")
      ->type_name("TARGET,...");
  command.add_option("--variants", options->filter, "Only variants with these values")
      ->type_name("AXIS=VALUE,...");
  command
      .add_option("--table", options->table,
                  "Instead: renew the table of operators and targets in this Markdown file")
      ->type_name("FILE.md");
  command
      .add_option("--c-args", options->c_args,
                  "Instead: write the C header with the argument structs")
      ->type_name("FILE.h");
  command.callback([&line, options] {
    line.action = [&line, options] { return variants(*options, line.common); };
  });
}

}  // namespace fourge::tools
