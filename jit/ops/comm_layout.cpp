#include <fourge/comm_layout.hpp>
#include <fourge/error.hpp>

#include <fmt/format.h>

#include "jit/ops/arguments.hpp"

namespace fourge::comm {
namespace {

constexpr std::int64_t kAlignment = 128;
constexpr std::int64_t kElementBytes = 2;
constexpr std::int64_t kVectorBytes = 16;

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

void require(bool holds, const std::string& what) {
  if (!holds) {
    throw Error(ErrorKind::invalid_argument, "workspace of a group: " + what);
  }
}

}  // namespace

std::int64_t one_shot_slot_bytes(std::int64_t rows, std::int64_t cols) {
  return rows * cols * kElementBytes;
}

std::int64_t two_shot_slot_bytes(int ranks, std::int64_t rows, std::int64_t cols) {
  const std::int64_t vectors = cols * kElementBytes / kVectorBytes;
  return rows * ((vectors + ranks - 1) / ranks) * kVectorBytes;
}

WorkspaceLayout workspace_layout(const WorkspaceShape& shape) {
  require(shape.ranks >= 1 && shape.ranks <= kMostRanks,
          fmt::format("{} ranks; 1 to {} are possible", shape.ranks, kMostRanks));
  require(shape.max_rows >= 0 && shape.one_shot_rows >= 0,
          fmt::format("max_rows is {} and one_shot_rows {}; neither may be negative",
                      shape.max_rows, shape.one_shot_rows));
  require(shape.max_cols > 0 && shape.max_cols % 16 == 0,
          fmt::format("max_cols is {}; it must be a positive multiple of 16", shape.max_cols));
  constexpr std::int64_t kSlots = std::int64_t{kGenerations} * kMostRanks;
  require(jit::fits(shape.one_shot_rows, shape.max_cols, kSlots * kElementBytes) &&
              jit::fits(shape.max_rows, shape.max_cols, kMostRanks * kElementBytes),
          fmt::format("{} rows ({} one-shot) of {} columns are more than 2^47 bytes",
                      shape.max_rows, shape.one_shot_rows, shape.max_cols));
  WorkspaceLayout layout;
  layout.one_shot_offset = std::int64_t{kMostCtas} * kFlagLineBytes;
  layout.slot_bytes = aligned(one_shot_slot_bytes(shape.one_shot_rows, shape.max_cols));
  layout.input_offset = layout.one_shot_offset + kGenerations * shape.ranks * layout.slot_bytes;
  layout.input_slot_bytes =
      aligned(two_shot_slot_bytes(shape.ranks, shape.max_rows, shape.max_cols));
  layout.result_offset = layout.input_offset + shape.ranks * layout.input_slot_bytes;
  layout.bytes = layout.result_offset + aligned(shape.max_rows * shape.max_cols * kElementBytes);
  return layout;
}

}  // namespace fourge::comm
