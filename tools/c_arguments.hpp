// The header <fourge/c_args.h>, made from the operations' definitions.
#pragma once

#include <string>

namespace fourge::tools {

std::string c_arguments_header();

}  // namespace fourge::tools
