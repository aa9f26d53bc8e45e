// The kernel templates, embedded at build time, byte for byte.
#pragma once

#include <span>
#include <string_view>

namespace fourge::kernel_templates {

struct EmbeddedText {
  std::string_view name;  // path below kernel_templates/: "device/e2m1.cuh"
  std::string_view text;
};

std::span<const EmbeddedText> files();

}  // namespace fourge::kernel_templates
