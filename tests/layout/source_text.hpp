// What the checks of the documentation read out of texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fourge::tests {

// The string literals of a C++ source, unescaped; neighbours with only blanks between them are one.
// Comments, characters and raw strings are passed over.
std::vector<std::string> string_literals(std::string_view source);

std::vector<std::string> split(std::string_view text, std::string_view separator);

// Whether the pieces are in the text, one behind the other.
bool holds_in_order(std::string_view text, const std::vector<std::string>& pieces);

// Markdown without its fenced blocks and without what stands in backticks.
std::string without_code(std::string_view page);

}  // namespace fourge::tests
