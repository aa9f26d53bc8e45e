// NVFP4 from E4M3 input: elements are scaled by 6 / G, rounded to halves, and the halves are quantized.
// Always in fast mode: the arithmetic is defined with approximate reciprocals, correctly rounded here.
// A block whose scale rounds to zero is multiplied by zero, so its codes are 0 and 8.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "reference/nvfp4.hpp"

namespace fourge::reference {

struct Nvfp4FromE4m3 {
  Nvfp4Block block;                               // its multiplier is that of the halves
  std::array<std::uint16_t, kNvfp4Block> halves;  // what was encoded
};

// inverse_global_scale: 1 / global_scale as rounded by whoever is compared with.
Nvfp4FromE4m3 quantize_nvfp4_block_from_e4m3(std::span<const std::uint8_t, kNvfp4Block> x,
                                             float global_scale,
                                             float inverse_global_scale) noexcept;

}  // namespace fourge::reference
