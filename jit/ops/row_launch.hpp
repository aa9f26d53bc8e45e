// Launches in which a thread takes one unit of columns in a group of rows: grid x runs over the
// columns, y strides over the groups. And those with one unit a thread, flat or row by row.
#pragma once

#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge::jit {

inline constexpr int kRowLaunchThreads = 128;

inline constexpr AxisValue kTokensPerCtaValues[] = {{"1", "1", "one row at a time"},
                                                    {"2", "2", "two rows at a time"},
                                                    {"4", "4", "four rows at a time"}};
inline constexpr Axis kTokensPerCtaAxis = {"tpc", "kTokensPerCta",
                                           "rows (tokens) a CTA takes at a time; same bits",
                                           kTokensPerCtaValues, "1"};

constexpr std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// A matrix of block scales with its padding.
struct ScaleExtent {
  std::int64_t rows;
  std::int64_t columns;
};

// Throws Error(invalid_spec) for a layout text that is not "linear", "128x4" or "8x4".
ScaleExtent scale_extent(std::string_view layout, std::int64_t rows, std::int64_t columns);

// The same by the value's index on kScaleLayoutAxis, for launch rules: no text is compared.
constexpr ScaleExtent scale_extent(std::size_t layout, std::int64_t rows, std::int64_t columns) {
  if (layout == 0) return {rows, columns};
  return {layout == 1 ? round_up(rows, 128) : round_up(rows, 8), round_up(columns, 4)};
}

// Whole warps, at most kRowLaunchThreads, for this many units in a row and rows > 0.
LaunchShape row_launch(std::int64_t units, std::int64_t rows, std::int64_t rows_per_group);

// So many CTAs along grid x, and along y where there are more than `most_x`; a kernel counts them as
// blockIdx.y * gridDim.x + blockIdx.x, and the last ones may have nothing to do.
void set_ctas(LaunchShape& shape, std::int64_t ctas, std::int64_t most_x);

// A thread for each of so many units, kRowLaunchThreads a CTA: grid x, and y beyond 2^30 CTAs.
LaunchShape flat_launch(std::int64_t units);

// A thread for each unit of each row: grid x over the units, y over the rows, z times y where there are more.
LaunchShape row_by_row_launch(std::int64_t units, std::int64_t rows);

// The same where a warp takes four units of eight rows: device/row_threads.cuh. The rows of a tiled layout with its
// padding.
LaunchShape tile_launch(std::int64_t units, std::int64_t rows);

}  // namespace fourge::jit
