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

namespace {

constexpr std::int64_t kMostGridY = 65535;

// Groups of so many rows over y and z.
void divide_rows(LaunchShape& shape, std::int64_t rows, std::int64_t rows_per_group) {
  const std::int64_t groups = (rows + rows_per_group - 1) / rows_per_group;
  const std::int64_t in_z = (groups + kMostGridY - 1) / kMostGridY;
  if (in_z > kMostGridY) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{} rows are more than the {} of one launch; split the call", rows,
                            kMostGridY * kMostGridY * rows_per_group));
  }
  shape.grid[1] = static_cast<std::uint32_t>((groups + in_z - 1) / in_z);
  shape.grid[2] = static_cast<std::uint32_t>(in_z);
}

}  // namespace

LaunchShape row_launch(std::int64_t units, std::int64_t rows, std::int64_t rows_per_group) {
  const auto threads = std::min<std::int64_t>(kRowLaunchThreads, round_up(units, 32));
  const std::int64_t groups = (rows + rows_per_group - 1) / rows_per_group;
  LaunchShape shape;
  shape.block[0] = static_cast<std::uint32_t>(threads);
  shape.grid[0] = static_cast<std::uint32_t>((units + threads - 1) / threads);
  shape.grid[1] = static_cast<std::uint32_t>(std::min(kMostGridY, groups));
  return shape;
}

void set_ctas(LaunchShape& shape, std::int64_t ctas, std::int64_t most_x) {
  const std::int64_t in_x = std::min(most_x, ctas);
  shape.grid[0] = static_cast<std::uint32_t>(in_x);
  shape.grid[1] = static_cast<std::uint32_t>((ctas + in_x - 1) / in_x);
}

LaunchShape flat_launch(std::int64_t units) {
  LaunchShape shape;
  shape.block[0] = kRowLaunchThreads;
  set_ctas(shape, (units + kRowLaunchThreads - 1) / kRowLaunchThreads, std::int64_t{1} << 30);
  return shape;
}

LaunchShape row_by_row_launch(std::int64_t units, std::int64_t rows) {
  LaunchShape shape = row_launch(units, rows, 1);
  divide_rows(shape, rows, 1);
  return shape;
}

LaunchShape tile_launch(std::int64_t units, std::int64_t rows) {
  constexpr std::int64_t kRows = 8;
  constexpr std::int64_t kUnits = kRowLaunchThreads / kRows;
  LaunchShape shape;
  shape.block[0] = kRowLaunchThreads;
  shape.grid[0] = static_cast<std::uint32_t>((units + kUnits - 1) / kUnits);
  divide_rows(shape, rows, kRows);
  return shape;
}

}  // namespace fourge::jit
