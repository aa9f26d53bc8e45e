#include "runtime/host/warp_operation.hpp"

#include <fmt/format.h>

namespace fourge::host {

using fourge_host::BarrierKind;
using fourge_host::WarpKind;

namespace {

bool has(std::uint32_t lanes, unsigned lane) { return (lanes >> lane & 1U) != 0; }

// The lane that a shuffle reads; one outside the segment means the lane itself.
unsigned shuffle_source(WarpKind kind, unsigned lane, const LaneOperand& operand) {
  const auto width = static_cast<unsigned>(operand.width);
  const auto argument = static_cast<unsigned>(operand.argument);
  const unsigned first = lane & ~(width - 1U);
  const unsigned last = first + width - 1U;
  switch (kind) {
    case WarpKind::shuffle_up: {
      const unsigned delta = argument & 31U;
      return lane >= first + delta ? lane - delta : lane;
    }
    case WarpKind::shuffle_down: {
      const unsigned delta = argument & 31U;
      return lane + delta <= last ? lane + delta : lane;
    }
    case WarpKind::shuffle_xor: {
      // A segment may read those before it.
      const unsigned source = lane ^ (argument & 31U);
      return source <= last ? source : lane;
    }
    default:
      return first + (argument & (width - 1U));
  }
}

std::uint64_t vote(WarpKind kind, std::uint32_t lanes, std::uint32_t ballot) {
  switch (kind) {
    case WarpKind::ballot:
      return ballot;
    case WarpKind::any:
      return ballot != 0 ? 1 : 0;
    case WarpKind::all:
      return ballot == lanes ? 1 : 0;
    default:
      return 0;
  }
}

}  // namespace

const char* to_text(WarpKind kind) noexcept {
  switch (kind) {
    case WarpKind::sync:
      return "__syncwarp";
    case WarpKind::shuffle:
      return "__shfl_sync";
    case WarpKind::shuffle_up:
      return "__shfl_up_sync";
    case WarpKind::shuffle_down:
      return "__shfl_down_sync";
    case WarpKind::shuffle_xor:
      return "__shfl_xor_sync";
    case WarpKind::ballot:
      return "__ballot_sync";
    case WarpKind::any:
      return "__any_sync";
    case WarpKind::all:
      return "__all_sync";
    case WarpKind::match:
      return "__match_any_sync";
  }
  return "?";
}

const char* to_text(BarrierKind kind) noexcept {
  switch (kind) {
    case BarrierKind::cluster:
      return "the cluster barrier";
    case BarrierKind::sync:
      return "__syncthreads";
    case BarrierKind::logical_or:
      return "__syncthreads_or";
    case BarrierKind::logical_and:
      return "__syncthreads_and";
    case BarrierKind::count:
      return "__syncthreads_count";
  }
  return "?";
}

WarpResult warp_operation(WarpKind kind, std::uint32_t lanes,
                          const std::array<LaneOperand, 32>& operands) {
  WarpResult result;
  std::uint32_t ballot = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (has(lanes, lane) && operands[lane].value != 0) {
      ballot |= 1U << lane;
    }
  }
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (!has(lanes, lane)) {
      continue;
    }
    std::uint64_t& value = result.values[lane];
    switch (kind) {
      case WarpKind::shuffle:
      case WarpKind::shuffle_up:
      case WarpKind::shuffle_down:
      case WarpKind::shuffle_xor: {
        const unsigned source = shuffle_source(kind, lane, operands[lane]);
        if (has(lanes, source)) {
          value = operands[source].value;
        } else if (!result.undefined) {
          result.undefined = WarpResult::Undefined{lane, source};
        }
        break;
      }
      case WarpKind::match:
        for (unsigned other = 0; other < 32; ++other) {
          if (has(lanes, other) && operands[other].value == operands[lane].value) {
            value |= 1ULL << other;
          }
        }
        break;
      default:
        value = vote(kind, lanes, ballot);
    }
  }
  return result;
}

std::string width_refusal(int width) {
  if (width >= 1 && width <= 32 && (width & (width - 1)) == 0) {
    return {};
  }
  return fmt::format("a shuffle of width {}, which is not a power of two from 1 to 32", width);
}

}  // namespace fourge::host
