// Completion of the command's words for shells.
#pragma once

#include <string>
#include <vector>

#include "tools/command_model.hpp"

namespace fourge::tools {

std::string bash_completion(const std::vector<CommandModel>& models);
std::string zsh_completion(const std::vector<CommandModel>& models);
std::string fish_completion(const std::vector<CommandModel>& models);

}  // namespace fourge::tools
