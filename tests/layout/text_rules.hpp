// What a file may hold: its size, and words that have no place in it.
//   - sources and scripts have at most kMaximumLines lines
//   - the environment is read by runtime/options.cpp, and by tests and tools
//   - library modules do not print
//   - no notes of unfinished work, anywhere
#pragma once

#include <cstddef>
#include <string_view>

#include "tests/layout/violation.hpp"

namespace fourge::tests {

inline constexpr std::size_t kMaximumLines = 400;

// path: below the repository's root, with '/'.
Violations check_text(std::string_view path, std::string_view text);

}  // namespace fourge::tests
