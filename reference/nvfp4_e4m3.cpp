#include "reference/nvfp4_e4m3.hpp"

#include "reference/ftz.hpp"

namespace fourge::reference {

Nvfp4FromE4m3 quantize_nvfp4_block_from_e4m3(std::span<const std::uint8_t, kNvfp4Block> x,
                                             float global_scale,
                                             float inverse_global_scale) noexcept {
  Nvfp4FromE4m3 result{};
  const float to_half = ftz::mul(6.0F, inverse_global_scale);
  for (std::size_t i = 0; i < x.size(); ++i) {
    result.halves[i] = float_to_f16(ftz::mul(decode_e4m3(x[i]), to_half));
  }
  const float maximum = magnitude_maximum(result.halves, ElementType::f16);
  const float sixth = ftz::mul(maximum, ftz::rcp(6.0F));
  Nvfp4Block& block = result.block;
  block.scale = encode_e4m3(ftz::mul(global_scale, sixth));
  const float scale = decode_e4m3(block.scale);
  block.multiplier = scale == 0.0F ? 0.0F : ftz::mul(global_scale, ftz::rcp(scale));
  block.codes = encode_elements(result.halves, ElementType::f16, block.multiplier);
  return result;
}

}  // namespace fourge::reference
