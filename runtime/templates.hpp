// The embedded kernel templates, as the source generator takes them.
#pragma once

#include "jit/source_generator.hpp"

#include <span>

namespace fourge {

std::span<const jit::TemplateFile> template_files();

}  // namespace fourge
