// Options by name, as text: a new one needs no new function.
#include "runtime/c_api/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

#include "runtime/c_api/boundary.hpp"

namespace fourge::c_api {
namespace {

struct OptionText {
  const char* name;
  // False: the value is none of this option's.
  bool (*set)(Options& options, std::string_view value);
  std::string (*get)(const Options& options);
  const char* form;  // of a value, for the refusal
};

template <auto Member>
using MemberType = std::remove_reference_t<decltype(std::declval<Options&>().*Member)>;

template <auto Member>
constexpr OptionText text_option(const char* name) {
  return {name,
          [](Options& options, std::string_view value) {
            options.*Member = std::string(value);
            return true;
          },
          [](const Options& options) { return options.*Member; }, "text"};
}

template <auto Member>
constexpr OptionText flag_option(const char* name) {
  return {name,
          [](Options& options, std::string_view value) {
            options.*Member = value == "true";
            return value == "true" || value == "false";
          },
          [](const Options& options) { return std::string(options.*Member ? "true" : "false"); },
          "true or false"};
}

bool parse_number(std::string_view text, std::uint64_t most, std::uint64_t& number) {
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end && number <= most;
}

template <auto Member>
constexpr OptionText number_option(const char* name) {
  return {name,
          [](Options& options, std::string_view value) {
            using Number = MemberType<Member>;
            std::uint64_t number = 0;
            const bool valid = parse_number(value, std::numeric_limits<Number>::max(), number);
            if (valid) {
              options.*Member = static_cast<Number>(number);
            }
            return valid;
          },
          [](const Options& options) { return fmt::format("{}", options.*Member); },
          "a whole number, not negative"};
}

// So that no sum with a time of day overflows.
constexpr std::uint64_t kMostTime = 1'000'000'000;

template <auto Member>
constexpr OptionText time_option(const char* name, const char* form) {
  return {name,
          [](Options& options, std::string_view value) {
            std::uint64_t number = 0;
            const bool valid = parse_number(value, kMostTime, number);
            if (valid) {
              options.*Member =
                  MemberType<Member>(static_cast<typename MemberType<Member>::rep>(number));
            }
            return valid;
          },
          [](const Options& options) { return fmt::format("{}", (options.*Member).count()); },
          form};
}

bool set_read_only(Options& options, std::string_view value) {
  options.cache_read_only.clear();
  while (!value.empty()) {
    const std::size_t colon = value.find(':');
    if (colon != 0) {
      options.cache_read_only.emplace_back(value.substr(0, colon));
    }
    value.remove_prefix(colon == std::string_view::npos ? value.size() : colon + 1);
  }
  return true;
}

std::string get_read_only(const Options& options) {
  return fmt::format("{}", fmt::join(options.cache_read_only, ":"));
}

constexpr const char* kMilliseconds = "milliseconds from 0 to 1000000000";
constexpr const char* kSeconds = "seconds from 0 to 1000000000";

constexpr OptionText kOptions[] = {
    text_option<&Options::cache_directory>("cache_directory"),
    {"cache_read_only", set_read_only, get_read_only, "paths, separated by colons"},
    flag_option<&Options::cache_promote>("cache_promote"),
    text_option<&Options::bundle_public_key>("bundle_public_key"),
    number_option<&Options::cache_byte_limit>("cache_byte_limit"),
    text_option<&Options::trusted_group>("trusted_group"),
    text_option<&Options::runtime_directory>("runtime_directory"),
    text_option<&Options::nvrtc_library>("nvrtc_library"),
    text_option<&Options::cuda_home>("cuda_home"),
    text_option<&Options::driver_library>("driver_library"),
    text_option<&Options::host_compiler>("host_compiler"),
    time_option<&Options::compile_wait>("compile_wait", kMilliseconds),
    time_option<&Options::stuck_after>("stuck_after", kMilliseconds),
    number_option<&Options::compile_slots>("compile_slots"),
    time_option<&Options::failure_memory>("failure_memory", kSeconds),
    flag_option<&Options::retry_failed>("retry_failed"),
    flag_option<&Options::nvtx>("nvtx"),
};

const OptionText& find_option(std::string_view name) {
  std::vector<const char*> known;
  for (const OptionText& option : kOptions) {
    if (name == option.name) {
      return option;
    }
    known.push_back(option.name);
  }
  throw Error(ErrorKind::invalid_argument,
              fmt::format("unknown option \"{}\"; known: {}", name, fmt::join(known, ", ")));
}

}  // namespace
}  // namespace fourge::c_api

using fourge::c_api::guarded;
using fourge::c_api::require;

extern "C" {

fourge_status fourge_options_create(fourge_options** options, fourge_error** error) {
  return guarded(error, [&] {
    require(options, "fourge_options_create", "options");
    *options = new fourge_options{};
  });
}

fourge_status fourge_options_from_environment(fourge_options** options, fourge_error** error) {
  return guarded(error, [&] {
    require(options, "fourge_options_from_environment", "options");
    *options = new fourge_options{fourge::Options::from_environment(), {}};
  });
}

fourge_status fourge_options_set(fourge_options* options, const char* name, const char* value,
                                 fourge_error** error) {
  return guarded(error, [&] {
    require(options, "fourge_options_set", "options");
    require(name, "fourge_options_set", "name");
    require(value, "fourge_options_set", "value");
    const auto& option = fourge::c_api::find_option(name);
    fourge::Options changed = options->options;
    if (!option.set(changed, value)) {
      throw fourge::Error(
          fourge::ErrorKind::invalid_argument,
          fmt::format("option {} is \"{}\"; give {}", option.name, value, option.form));
    }
    options->options = std::move(changed);
  });
}

fourge_status fourge_options_get(fourge_options* options, const char* name, const char** value,
                                 fourge_error** error) {
  return guarded(error, [&] {
    require(options, "fourge_options_get", "options");
    require(name, "fourge_options_get", "name");
    require(value, "fourge_options_get", "value");
    options->text = fourge::c_api::find_option(name).get(options->options);
    *value = options->text.c_str();
  });
}

fourge_status fourge_options_set_log(fourge_options* options, fourge_log_function log, void* user,
                                     fourge_error** error) {
  return guarded(error, [&] {
    require(options, "fourge_options_set_log", "options");
    if (log == nullptr) {
      options->options.log = nullptr;
      return;
    }
    options->options.log = [log, user](fourge::LogLevel level, std::string_view text) {
      const std::string terminated(text);
      log(user, static_cast<std::int32_t>(level), terminated.c_str(), terminated.size());
    };
  });
}

void fourge_options_free(fourge_options* options) { delete options; }

}  // extern "C"
