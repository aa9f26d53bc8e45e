#include "tools/report.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

namespace fourge::tools {
namespace {

void print_error(std::string_view kind, std::string_view message, Json details, bool json) {
  std::fprintf(stderr, "fourge: error: %.*s\n", static_cast<int>(message.size()), message.data());
  if (!json) {
    return;
  }
  Json error{{"kind", kind}, {"message", message}};
  error.update(details);
  print_json(Json{{"error", error}});
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
  print_error(kind, message, Json::object(), json);
}

ExitCode report_exception(const std::exception& exception, bool json) {
  if (const auto* compile = dynamic_cast<const CompileError*>(&exception)) {
    print_error(to_string(compile->kind()), compile->what(),
                {{"log", compile->log()}, {"source_path", compile->source_path()}}, json);
    return exit_code_of(compile->kind());
  }
  if (const auto* driver = dynamic_cast<const DriverError*>(&exception)) {
    print_error(to_string(driver->kind()), driver->what(), {{"status", driver->status()}}, json);
    return exit_code_of(driver->kind());
  }
  if (const auto* error = dynamic_cast<const Error*>(&exception)) {
    report_error(to_string(error->kind()), error->what(), json);
    return exit_code_of(error->kind());
  }
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr) {
    report_error("io", "out of memory", json);
    return ExitCode::failure;
  }
  report_error("internal", exception.what(), json);
  return ExitCode::failure;
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
