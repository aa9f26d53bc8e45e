#include "runtime/axis_list.hpp"

#include <algorithm>

namespace fourge {

bool names_axis(std::string_view axes, std::string_view axis) noexcept {
  for (std::size_t at = 0; at < axes.size();) {
    const std::size_t end = std::min(axes.find(',', at), axes.size());
    const std::string_view item = axes.substr(at, end - at);
    if (item.substr(0, item.find('=')) == axis) return true;
    at = end + 1;
  }
  return false;
}

}  // namespace fourge
