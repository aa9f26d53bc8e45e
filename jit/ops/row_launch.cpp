#include "jit/ops/row_launch.hpp"

#include <fourge/error.hpp>

#include <fmt/format.h>
#include <algorithm>
#include <iterator>

#include "jit/ops/common_axes.hpp"

namespace fourge::jit {

ScaleExtent scale_extent(std::string_view layout, std::int64_t rows, std::int64_t columns) {
  for (std::size_t i = 0; i < std::size(kScaleLayoutValues); ++i) {
    if (layout == kScaleLayoutValues[i].text) {
      return scale_extent(i, rows, columns);
    }
  }
  throw Error(ErrorKind::invalid_spec,
              fmt::format("unknown scale layout \"{}\"; known: linear, 128x4, 8x4", layout));
}

LaunchShape row_launch(std::int64_t units, std::int64_t rows, std::int64_t rows_per_group) {
  constexpr std::int64_t kMostGridY = 65535;
  const auto threads = std::min<std::int64_t>(kRowLaunchThreads, round_up(units, 32));
  const std::int64_t groups = (rows + rows_per_group - 1) / rows_per_group;
  LaunchShape shape;
  shape.block[0] = static_cast<std::uint32_t>(threads);
  shape.grid[0] = static_cast<std::uint32_t>((units + threads - 1) / threads);
  shape.grid[1] = static_cast<std::uint32_t>(std::min(kMostGridY, groups));
  return shape;
}

}  // namespace fourge::jit
