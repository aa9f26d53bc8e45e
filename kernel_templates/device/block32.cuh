// The block of 32 elements of 16 bits that the MX formats scale together, and its UE8M0 scale. One thread
// takes it, or two neighbours of an aligned pair half of it each.
#pragma once

#include "device/global_memory.cuh"
#include "device/lanes.cuh"
#include "device/ue8m0.cuh"
#include "device/words_max.cuh"

namespace fourge_device {

// A thread's part of a block that kLanes share.
template <int kLanes>
struct Block32 {
  enum : int { kParts = 2 / kLanes };
  Words8 part[kParts];
};

template <class Config, int kLanes>
FOURGE_INLINE Block32<kLanes> load_block32(const void* p) {
  Block32<kLanes> block;
#pragma unroll
  for (int i = 0; i < block.kParts; ++i) {
    block.part[i] = load_words8<Config::kLoad256()>(static_cast<const char*>(p) + 32 * i);
  }
  return block;
}

struct Block32Scale {
  uint32 byte;
  float o;       // elements are multiplied by it
  bool unusual;  // the thread's part has a NaN or an infinity
};

// All lanes of the warp call but those that have exited. inverse_largest: 1 / the largest magnitude of the
// element format. A block whose scale byte is 0 gets o = 0, and so does one with an infinity (byte 254, whose
// reciprocal is subnormal).
template <class Config, int kLanes>
FOURGE_INLINE Block32Scale scale_of(const Block32<kLanes>& block, float inverse_largest) {
  const WordsMaximum maximum = maximum_of<Config::kInput()>(block.part);
  const uint32 bits = lanes_max<kLanes>(maximum.bits);
  const float amax = value_of_bits<Config::kInput()>(bits);
  const uint32 byte = encode_ue8m0_up<Config>(mul_rn(amax, inverse_largest));
  return {byte, byte == 0 ? 0.0f : ue8m0_reciprocal(byte), maximum.unusual};
}

}  // namespace fourge_device
