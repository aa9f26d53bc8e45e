#include "jit/ops/expand_staging.hpp"

#include "jit/ops/row_launch.hpp"

#include <algorithm>

namespace fourge::jit {
namespace {

constexpr std::int64_t kMostThreads = kExpandStagingThreads;
// What a warp takes of the scales at a time.
constexpr std::int64_t kRows = 32;
constexpr std::int64_t kColumns = 64;
constexpr std::int64_t up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

}  // namespace

ExpandStagingGrid expand_staging_grid(const ExpandStagingSizes& sizes) {
  ExpandStagingGrid grid{};
  const std::int64_t parts = up(sizes.lanes, kMostThreads);
  grid.threads = round_up(up(sizes.lanes, parts), 32);
  const std::int64_t side = sizes.whole_tokens ? 1 : up(sizes.lanes, grid.threads);
  const std::int64_t units = up(sizes.scale_rows, kRows) * up(sizes.scale_columns, kColumns);
  const std::int64_t items = sizes.tokens * side + up(units, grid.threads / 32);
  // More than run would only wait for others to end.
  const std::int64_t running = sizes.running_ctas * (kMostThreads / grid.threads);
  grid.ctas = std::min(items, running);
  return grid;
}

}  // namespace fourge::jit
