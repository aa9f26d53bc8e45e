#include "tools/report.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

namespace fourge::tools {
namespace {

Json object_of(std::string_view kind, std::string_view message) {
  return {{"kind", kind}, {"message", message}};
}

void print_error(const Json& error, bool json) {
  std::fprintf(stderr, "fourge: error: %s\n", error.at("message").get<std::string>().c_str());
  if (json) print_json({{"error", error}});
}

}  // namespace

void print_text(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(ErrorKind::io,
                fmt::format("cannot write to standard output: {}", std::strerror(errno)));
  }
}

void print_json(const Json& document) {
  print_text(document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::string one_line(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void report_error(std::string_view kind, std::string_view message, bool json) {
  print_error(object_of(kind, message), json);
}

Json error_object(const std::exception& exception) {
  const auto* error = dynamic_cast<const Error*>(&exception);
  if (error == nullptr) {
    return dynamic_cast<const std::bad_alloc*>(&exception) != nullptr
               ? object_of("io", "out of memory")
               : object_of("internal", exception.what());
  }
  Json object = object_of(to_string(error->kind()), error->what());
  if (const auto* compile = dynamic_cast<const CompileError*>(error)) {
    object["log"] = compile->log();
    object["source_path"] = compile->source_path();
  } else if (const auto* driver = dynamic_cast<const DriverError*>(error)) {
    object["status"] = driver->status();
  }
  return object;
}

ExitCode report_exception(const std::exception& exception, bool json) {
  print_error(error_object(exception), json);
  const auto* error = dynamic_cast<const Error*>(&exception);
  return error == nullptr ? ExitCode::failure : exit_code_of(error->kind());
}

double milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

std::string duration_text(std::chrono::nanoseconds duration) {
  const double ms = milliseconds(duration);
  if (ms >= 1000) {
    return fmt::format("{:.2f} s", ms / 1000);
  }
  return ms >= 1 ? fmt::format("{:.1f} ms", ms) : fmt::format("{:.1f} us", ms * 1000);
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr double kKibi = 1024;
  const auto value = static_cast<double>(bytes);
  if (value < kKibi) {
    return fmt::format("{} bytes", bytes);
  }
  if (value < kKibi * kKibi) {
    return fmt::format("{:.1f} KiB", value / kKibi);
  }
  return fmt::format("{:.1f} MiB", value / (kKibi * kKibi));
}

}  // namespace fourge::tools
