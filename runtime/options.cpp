// The only place of the library that reads the environment.
#include <fourge/error.hpp>
#include <fourge/options.hpp>
#include <fourge/runtime.hpp>

#include "runtime/worker/worker_command.hpp"

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace fourge {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string default_cache_directory() {
  if (auto directory = variable("FOURGE_CACHE_DIR"); !directory.empty()) {
    return directory;
  }
  if (auto base = variable("XDG_CACHE_HOME"); !base.empty()) {
    return base + "/fourge";
  }
  if (auto home = variable("HOME"); !home.empty()) {
    return home + "/.cache/fourge";
  }
  return {};
}

// Empty parts are left out: an unset variable in a list must not mean the current directory.
std::vector<std::string> split_at_colons(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t colon = text.find(':');
    if (colon != 0) {
      parts.emplace_back(text.substr(0, colon));
    }
    text.remove_prefix(colon == std::string_view::npos ? text.size() : colon + 1);
  }
  return parts;
}

std::uint64_t parse_byte_limit(const std::string& text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  const std::string_view unit(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  constexpr std::string_view kUnits = "KMGT";
  const std::size_t power = unit.empty() ? 0 : kUnits.find(unit.front()) + 1;
  const bool known = unit.empty() || (unit.size() == 1 && power != 0);
  if (parsed.ec != std::errc() || !known || number > (UINT64_MAX >> (10 * power))) {
    throw Error(
        ErrorKind::invalid_argument,
        "FOURGE_CACHE_LIMIT is \"" + text +
            "\"; give a number of bytes, or one with K, M, G or T (1024 bytes and up), or 0 "
            "for no limit");
  }
  return number << (10 * power);
}

std::uint64_t parse_number(const char* name, const std::string& text, std::uint64_t most) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || number > most) {
    throw Error(ErrorKind::invalid_argument, std::string(name) + " is \"" + text +
                                                 "\"; give a number from 0 to " +
                                                 std::to_string(most));
  }
  return number;
}

}  // namespace

Options Options::from_environment() {
  Options options;
  options.cache_directory = default_cache_directory();
  options.trusted_group = variable("FOURGE_CACHE_GROUP");
  options.cache_read_only = split_at_colons(variable("FOURGE_CACHE_READ_ONLY"));
  options.bundle_public_key = variable("FOURGE_BUNDLE_PUBLIC_KEY");
  if (auto limit = variable("FOURGE_CACHE_LIMIT"); !limit.empty()) {
    options.cache_byte_limit = parse_byte_limit(limit);
  }
  if (auto slots = variable("FOURGE_COMPILE_SLOTS"); !slots.empty()) {
    options.compile_slots = parse_number("FOURGE_COMPILE_SLOTS", slots, 1024);
  }
  if (auto memory = variable("FOURGE_FAILURE_MEMORY"); !memory.empty()) {
    constexpr std::uint64_t kYear = 365 * 24 * 3600;
    options.failure_memory =
        std::chrono::seconds(parse_number("FOURGE_FAILURE_MEMORY", memory, kYear));
  }
  options.runtime_directory = variable("XDG_RUNTIME_DIR");
  options.nvrtc_library = variable("FOURGE_NVRTC");
  options.cuda_home = variable("CUDA_HOME");
  if (options.cuda_home.empty()) {
    options.cuda_home = variable("CUDA_PATH");
  }
  options.worker_program = variable("FOURGE_WORKER");
  if (options.worker_program.empty()) {
    options.worker_program = worker::find_worker_program(variable("PATH"));
  } else if (options.worker_program == "off") {
    options.worker_program.clear();
  }
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    options.worker_environment.emplace_back(*entry);
  }
  if (auto history = variable("FOURGE_HISTORY"); !history.empty()) {
    options.history = parse_number("FOURGE_HISTORY", history, 1) == 1;
  }
  if (auto compiler = variable("FOURGE_HOST_CXX"); !compiler.empty()) {
    options.host_compiler = compiler;
  }
  return options;
}

const char* to_string(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::invalid_spec:
      return "invalid_spec";
    case ErrorKind::invalid_argument:
      return "invalid_argument";
    case ErrorKind::unsupported:
      return "unsupported";
    case ErrorKind::library_missing:
      return "library_missing";
    case ErrorKind::compile_failed:
      return "compile_failed";
    case ErrorKind::driver:
      return "driver";
    case ErrorKind::io:
      return "io";
    case ErrorKind::internal:
      return "internal";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::frozen:
      return "frozen";
    case ErrorKind::peer:
      return "peer";
  }
  return "unknown";
}

const char* to_string(Origin origin) noexcept {
  switch (origin) {
    case Origin::disk:
      return "disk";
    case Origin::compiled:
      return "compiled";
  }
  return "unknown";
}

}  // namespace fourge
