// The manual page fourge(1), in man(7).
#pragma once

#include <string>
#include <vector>

#include "tools/command_model.hpp"

namespace fourge::tools {

std::string man_page(const std::vector<CommandModel>& models);

}  // namespace fourge::tools
