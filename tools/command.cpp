#include "tools/command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <string_view>

namespace fourge::tools {
namespace {

LogLevel parse_log_level(const std::string& text) {
  if (text == "debug") {
    return LogLevel::debug;
  }
  if (text == "info") {
    return LogLevel::info;
  }
  return text == "error" ? LogLevel::error : LogLevel::warn;
}

const char* name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warn:
      return "warning";
    case LogLevel::error:
      break;
  }
  return "error";
}

// One write for each message, so that those of several threads and processes do not mix.
void log_to_standard_error(LogLevel level, std::string_view text) {
  const std::string message = fmt::format("fourge: {}: {}\n", name_of(level), text);
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, message.data(), message.size());
}

}  // namespace

CLI::App& add_command(CLI::App& parent, CommandLine& line, const std::string& name,
                      const std::string& description, const std::string& details) {
  CLI::App& command = *parent.add_subcommand(name, description);
  command.footer("\n" + (details.empty() ? details : details + "\n\n") + kExitCodeHelp);
  add_common_options(command, line.common);
  return command;
}

void add_common_options(CLI::App& app, CommonOptions& common) {
  constexpr const char* kGroup = "Common options";
  app.add_flag("--json", common.json, "One JSON document on standard output, errors included")
      ->group(kGroup);
  app.add_option("--cache-dir", common.cache_dir,
                 "Cache directory (else FOURGE_CACHE_DIR, XDG_CACHE_HOME/fourge, ~/.cache/fourge)")
      ->type_name("DIR")
      ->group(kGroup);
  app.add_option(
         "--cache-read-only", common.read_only,
         "Directory or bundle (.fourge) to look into as well, without writing there; may be "
         "repeated (else FOURGE_CACHE_READ_ONLY)")
      ->type_name("PATH")
      ->expected(1)
      ->take_all()
      ->group(kGroup);
  app.add_option("--nvrtc", common.nvrtc,
                 "Path of libnvrtc or of its directory (else FOURGE_NVRTC, the loader's "
                 "directories, CUDA_HOME, /usr/local/cuda)")
      ->type_name("PATH")
      ->group(kGroup);
  app.add_option("--log", common.log, "What to report on standard error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->type_name("LEVEL")
      ->group(kGroup);
}

CLI::Validator whole_number(const std::string& units) {
  return CLI::Validator(
      [units](const std::string& text) {
        std::uint64_t number = 0;
        const char* const end = text.data() + text.size();
        const auto parsed = std::from_chars(text.data(), end, number);
        const std::string_view unit(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
        const bool known =
            unit.empty() || (unit.size() == 1 && units.find(unit[0]) != std::string::npos);
        return parsed.ec == std::errc() && known
                   ? std::string()
                   : fmt::format("\"{}\" is no whole number from 0 to {}{}", text, UINT64_MAX,
                                 units.empty() ? "" : ", with K, M, G, T or no unit");
      },
      "");
}

void refuse_empty_values(CLI::App& app) {
  const CLI::Validator not_empty(
      [](const std::string& text) {
        return text.empty() ? std::string("its value is empty") : std::string();
      },
      "");
  for (CLI::Option* option : app.get_options()) {
    if (option->get_expected_max() > 0) {
      option->check(not_empty);
    }
  }
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    refuse_empty_values(*command);
  }
}

Options library_options(const CommonOptions& common) {
  Options options = Options::from_environment();
  if (!common.cache_dir.empty()) {
    options.cache_directory = common.cache_dir;
  }
  if (!common.read_only.empty()) {
    options.cache_read_only = common.read_only;
  }
  if (!common.nvrtc.empty()) {
    options.nvrtc_library = common.nvrtc;
  }
  options.history = false;  // what people try out is nothing that a server asked for
  options.log = [least = parse_log_level(common.log)](LogLevel level, std::string_view text) {
    if (level >= least) {
      log_to_standard_error(level, text);
    }
  };
  return options;
}

}  // namespace fourge::tools
