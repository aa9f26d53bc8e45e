// What the command prints: results on standard output, errors on standard error.
#pragma once

#include <chrono>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tools/exit_code.hpp"

namespace fourge::tools {

// Keys stay in the order in which they were added.
using Json = nlohmann::ordered_json;

// To standard output. Throws Error(io) when that cannot take it (a full disk, a closed pipe).
void print_text(std::string_view text);
// The document and a newline; text that is no UTF-8 (a path may be) is repaired.
void print_json(const Json& document);
// The document in one line.
std::string one_line(const Json& document);

// "fourge: error: ..." and, with json, {"error": {"kind": ..., "message": ...}} on standard output.
void report_error(std::string_view kind, std::string_view message, bool json);
// What stands below "error" in it, for an exception of any type.
Json error_object(const std::exception& exception);
// The same for such an exception; the exit code that belongs to it.
ExitCode report_exception(const std::exception& exception, bool json);

double milliseconds(std::chrono::nanoseconds duration);
// "1.25 ms", "3.4 s"
std::string duration_text(std::chrono::nanoseconds duration);
// "17 bytes", "1.4 KiB", "3.2 MiB"
std::string bytes_text(std::uint64_t bytes);

}  // namespace fourge::tools
