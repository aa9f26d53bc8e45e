// The rows of moe_swiglu_fp8_block: which there are, where a thread finds its part of one, and how that comes
// and goes.
#pragma once

#include "device/shared_copy.cuh"
#include "device/store_words.cuh"
#include "device/swiglu.cuh"

namespace fourge_device {

enum class SwigluOrder { linear_first, gate_first };
enum class RowSource { map, inverse };

// How often 16 columns, 64 apart, a thread has of a block.
template <class Config>
inline constexpr int kSwigluChunks = Config::kTokensPerCta() == 1 ? 1 : 2;

// Where a thread finds its columns of a row, and what all rows share.
struct SwigluPlace {
  const uint8* linear;  // of row 0
  int64 to_gate;        // from there
  const float* scales;  // of the linear half for even lanes, of the gate for odd ones
  uint8* y;
  float* y_scales;
  uint32 row_bytes;  // of x
  uint32 cols;
  uint32 stride;  // rows in use
  uint32 capacity;
  bool writes_scale;
};

// A warp's part of two rows on their way, in shared memory: the codes of each lane in its own places, and the scales
// of a block, of the linear half and of the gate in turn, one from each of its lanes.
template <int kChunks>
struct SwigluStages {
  enum : uint32 { kLanes = 8 / kChunks };  // of a block
  enum : uint32 { kStride = 32 * 16 };     // from one of a lane's places to the next
  enum : uint32 { kGate = kChunks * kStride };
  enum : uint32 { kScales = 2 * kChunks * kStride };
  enum : uint32 { kBytes = kScales + 32 * 4 };
  SharedAddress codes;
  SharedAddress own_scale;
  SharedAddress scales;

  FOURGE_INLINE SwigluStages(void* of_warp, uint32 lane)
      : codes(shared_address(of_warp, lane * 16)),
        own_scale(shared_address(of_warp, kScales + lane * 4)),
        scales(shared_address(of_warp, kScales + lane / kLanes * kLanes * 4)) {}
};

template <int kChunks>
FOURGE_INLINE void ask_for_row(uint32 row, const SwigluPlace& place,
                               const SwigluStages<kChunks>& stages, uint32 at) {
  using Stages = SwigluStages<kChunks>;
  // One that is not there gets another's numbers, and nothing comes of them.
  row = row < place.capacity ? row : place.capacity - 1;
  const uint8* const linear = advance(place.linear, row, place.row_bytes);
  const uint8* const gate = linear + place.to_gate;
  const SharedAddress codes = stages.codes + at;
#pragma unroll
  for (uint32 i = 0; i < kChunks; ++i) {
    copy_words_async(codes + Stages::kStride * i, linear + 64 * i);
    copy_words_async(codes + (Stages::kGate + Stages::kStride * i), gate + 64 * i);
  }
  copy_word_async(stages.own_scale + at, advance(place.scales, row, 4));
}

// With all lanes of the warp, whose copies have arrived.
template <int kChunks>
FOURGE_INLINE SwigluRow<4 * kChunks> take_row(const SwigluStages<kChunks>& stages, uint32 at) {
  using Stages = SwigluStages<kChunks>;
  SwigluRow<4 * kChunks> row;
  // In the order in which they are used.
  const Floats2 scales = shared_floats(stages.scales + at);
  row.linear_scale = scales.v[0];
  row.gate_scale = scales.v[1];
  const SharedAddress codes = stages.codes + at;
#pragma unroll
  for (uint32 i = 0; i < kChunks; ++i) {
    const Words4 gate = shared_words(codes + (Stages::kGate + Stages::kStride * i));
    const Words4 linear = shared_words(codes + Stages::kStride * i);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      row.linear[4 * i + k] = linear.w[k];
      row.gate[4 * i + k] = gate.w[k];
    }
  }
  return row;
}

template <int kWords>
FOURGE_INLINE void store_swiglu(uint32 row, const uint32 (&codes)[kWords], float scale,
                                const SwigluPlace& place) {
  uint8* const y = advance(place.y, row, place.cols);
#pragma unroll
  for (int i = 0; i < kWords; i += 4) {
    const uint32 chunk[4] = {codes[i], codes[i + 1], codes[i + 2], codes[i + 3]};
    store_words(y + 16 * i, chunk);
  }
  if (place.writes_scale) {
    store(advance(place.y_scales, row, 4), scale);
  }
}

// The row of an entry of the map, of which `mapped` has been read; one that is out of range where there is none.
template <class Config>
FOURGE_INLINE uint32 swiglu_row_of(int mapped, const int* row_map, const int* entry,
                                   const int* end) {
  if (entry >= end) {
    return 0xFFFFFFFFu;
  }
  if constexpr (Config::kRows() == RowSource::inverse) {
    return mapped >= 0 ? static_cast<uint32>(entry - row_map) : 0xFFFFFFFFu;
  }
  return static_cast<uint32>(mapped);  // negative: too large
}

// For a thread's place among those of a row.
template <class Config>
FOURGE_INLINE SwigluPlace swiglu_place(uint32 unit, const uint8* x, const float* x_scales, uint8* y,
                                       float* y_scales, int64 cols, int64 capacity, uint32 stride) {
  constexpr bool kGateFirst = Config::kOrder() == SwigluOrder::gate_first;
  constexpr uint32 kLanes = 8 / kSwigluChunks<Config>;  // of a block
  const uint32 block = unit / kLanes;
  const uint32 column = block * 128 + unit % kLanes * 16;
  SwigluPlace place;
  place.cols = static_cast<uint32>(cols);
  place.row_bytes = kept(2 * place.cols);
  place.linear = kept(x + (kGateFirst ? place.cols + column : column));
  place.to_gate = kGateFirst ? -cols : cols;
  place.y = kept(y + column);
  place.capacity = static_cast<uint32>(capacity);
  place.stride = stride;
  place.writes_scale = unit % kLanes == 0;
  const uint32 blocks = place.cols / 128;
  const bool second = kGateFirst != (threadIdx.x % 2 != 0);
  place.scales = kept(x_scales + (second ? static_cast<uint64>(blocks) + block : block) * stride);
  place.y_scales = kept(y_scales + static_cast<uint64>(block) * stride);
  return place;
}

}  // namespace fourge_device
