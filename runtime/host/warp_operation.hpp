// The results of one warp operation, once every lane that takes part has arrived.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "runtime/host/abi.hpp"

namespace fourge::host {

// "__shfl_xor_sync", "__syncwarp", ...
const char* to_text(fourge_host::WarpKind kind) noexcept;
const char* to_text(fourge_host::BarrierKind kind) noexcept;

// What one lane handed in.
struct LaneOperand {
  std::uint64_t value = 0;
  int argument = 0;
  int width = 32;
};

struct WarpResult {
  std::array<std::uint64_t, 32> values{};
  // A lane that read one that takes no part, and that one. CUDA leaves the value undefined, so it
  // is taken for a mistake.
  struct Undefined {
    unsigned lane;
    unsigned source;
  };
  std::optional<Undefined> undefined;
};

// lanes: those that take part; operands of others are not read.
WarpResult warp_operation(fourge_host::WarpKind kind, std::uint32_t lanes,
                          const std::array<LaneOperand, 32>& operands);

// Why a width is not one; empty if it is a power of two from 1 to 32.
std::string width_refusal(int width);

}  // namespace fourge::host
