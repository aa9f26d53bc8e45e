// The block of 32 elements of 16 bits that the MX formats scale together, and its UE8M0 scale.
#pragma once

#include "device/global_memory.cuh"
#include "device/ue8m0.cuh"
#include "device/words_max.cuh"

namespace fourge_device {

struct Block32 {
  Words8 half[2];
};

template <class Config>
FOURGE_INLINE Block32 load_block32(const void* p) {
  Block32 block;
  block.half[0] = load_words8<Config::kLoad256>(p);
  block.half[1] = load_words8<Config::kLoad256>(static_cast<const char*>(p) + 32);
  return block;
}

struct Block32Scale {
  uint32 byte;
  float o;       // elements are multiplied by it
  bool unusual;  // the block has a NaN or an infinity
};

// inverse_largest: 1 / the largest magnitude of the element format. A block whose scale byte is 0 gets
// o = 0, and so does one with an infinity (byte 254, whose reciprocal is subnormal).
template <class Config>
FOURGE_INLINE Block32Scale scale_of(const Block32& block, float inverse_largest) {
  const WordsMaximum maximum = maximum_of<Config::kInput>(block.half);
  const float amax = value_of_bits<Config::kInput>(maximum.bits);
  const uint32 byte = encode_ue8m0_up<Config>(mul_rn(amax, inverse_largest));
  return {byte, byte == 0 ? 0.0f : ue8m0_reciprocal(byte), maximum.unusual};
}

}  // namespace fourge_device
