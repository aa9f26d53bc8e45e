// The reference's 4over6 configuration for the text of the axis "4over6".
#pragma once

#include <fourge/kernel_spec.hpp>

#include "reference/nvfp4_4over6.hpp"

#include <optional>
#include <string>

namespace fourge::tests {

// "mse256fast" -> squared error, range 256, fast error arithmetic; nullopt for "off".
inline std::optional<reference::FourOverSix> four_over_six_of(const KernelSpec& spec) {
  const std::string text(spec.get("4over6"));
  if (text == "off") {
    return std::nullopt;
  }
  reference::FourOverSix config;
  config.metric =
      text.substr(0, 3) == "mse" ? reference::ErrorMetric::mse : reference::ErrorMetric::mae;
  config.e4m3_max = text.substr(3, 3) == "256" ? 256 : 448;
  config.error_math = text.size() > 6 ? reference::ErrorMath::fast : reference::ErrorMath::strict;
  return config;
}

}  // namespace fourge::tests
