// Which file may include which. Arrows point downwards, and there are no others:
//
//   tools, examples -> runtime -> { jit, cache, kernel_templates }
//   tools, tests    -> reference, which sees nothing of the project
//   everything else -> <fourge/...>, which sees the standard library and itself
//
// A module may include what lies below the one it points to; examples keep to <fourge/...>; tests
// may include anything. Device code (.cuh) sees the shared files of kernel_templates only.
#pragma once

#include <string_view>

#include "tests/layout/violation.hpp"

namespace fourge::tests {

// path: below the repository's root, with '/'. Files outside the modules have no rules.
Violations check_includes(std::string_view path, std::string_view text);

}  // namespace fourge::tests
