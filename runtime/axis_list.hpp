// What stands in a spec's brackets, as text.
#pragma once

#include <string_view>

namespace fourge {

// Whether "a=1,b=2" names the axis.
bool names_axis(std::string_view axes, std::string_view axis) noexcept;

}  // namespace fourge
