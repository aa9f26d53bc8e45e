// The documentation's table of operators and targets: which of a target's instructions a kernel uses,
// where it takes the software path, and what has executed it. Nothing in it is typed by hand: flags
// and their values are read from the generated sources and PTX, what is executed from
// executed_targets.hpp. Takes NVRTC some ten seconds.
#pragma once

#include <string>
#include <string_view>

namespace fourge::tools {

// Markdown, with a line's end at the end.
std::string operator_table();

inline constexpr std::string_view kTableBegin = "<!-- operator table: begin -->\n";
inline constexpr std::string_view kTableEnd = "<!-- operator table: end -->\n";

// Puts the table between the markers of a file's text. Throws Error(invalid_argument), beginning with
// name, if it does not have both.
std::string with_operator_table(const std::string& text, const std::string& name);

}  // namespace fourge::tools
