// The rows of moe_swiglu_fp8_block: which there are, where a thread finds its part of one, and how that comes
// and goes.
#pragma once

#include "device/async_copy.cuh"
#include "device/store_words.cuh"
#include "device/swiglu.cuh"

namespace fourge_device {

enum class SwigluOrder { linear_first, gate_first };
enum class RowSource { map, inverse };

// How often 16 columns, 64 apart, a thread has of a block.
template <class Config>
inline constexpr int kSwigluChunks = Config::kTokensPerCta == 1 ? 1 : 2;

// Where a thread finds its columns of a row, and what all rows share.
struct SwigluPlace {
  const uint8* linear;  // of row 0
  const uint8* gate;
  const float* linear_scales;
  const float* gate_scales;
  uint8* y;
  float* y_scales;
  uint32 row_bytes;  // of x
  uint32 cols;
  uint32 stride;  // rows in use
  uint32 capacity;
  bool writes_scale;
  uint32 thread;
};

// A row on its way: each thread has its own places in it and reads no other's.
template <int kChunks>
struct SwigluStage {
  Words4 linear[kChunks][128];
  Words4 gate[kChunks][128];
  float linear_scale[128];
  float gate_scale[128];
};

FOURGE_INLINE Words4 read_shared(const Words4& from) {
#if defined(FOURGE_HOST_EXECUTION)
  fourge_host::check_shared(&from, sizeof(from), 0);
#endif
  return from;
}

template <int kChunks>
FOURGE_INLINE void ask_for_row(uint32 row, const SwigluPlace& place, SwigluStage<kChunks>& stage) {
  // One that is not there gets another's numbers, and nothing comes of them.
  row = row < place.capacity ? row : place.capacity - 1;
  const uint8* const linear = advance(place.linear, row, place.row_bytes);
  const uint8* const gate = advance(place.gate, row, place.row_bytes);
#pragma unroll
  for (int i = 0; i < kChunks; ++i) {
    copy_async(&stage.linear[i][place.thread], linear + 64 * i);
    copy_async(&stage.gate[i][place.thread], gate + 64 * i);
  }
  copy_async(&stage.linear_scale[place.thread], advance(place.linear_scales, row, 4));
  copy_async(&stage.gate_scale[place.thread], advance(place.gate_scales, row, 4));
}

template <int kChunks>
FOURGE_INLINE SwigluRow<4 * kChunks> take_row(const SwigluPlace& place,
                                              const SwigluStage<kChunks>& stage) {
  SwigluRow<4 * kChunks> row;
#pragma unroll
  for (int i = 0; i < kChunks; ++i) {
    const Words4 linear = read_shared(stage.linear[i][place.thread]);
    const Words4 gate = read_shared(stage.gate[i][place.thread]);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      row.linear[4 * i + k] = linear.w[k];
      row.gate[4 * i + k] = gate.w[k];
    }
  }
  row.linear_scale = stage.linear_scale[place.thread];
  row.gate_scale = stage.gate_scale[place.thread];
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

// The row of an entry of the map; one that is out of range where there is none.
template <class Config>
FOURGE_INLINE uint32 swiglu_row_of(const int* row_map, const int* entry, const int* end) {
  if (entry >= end) {
    return 0xFFFFFFFFu;
  }
  const int mapped = load(entry);
  if constexpr (Config::kRows == RowSource::inverse) {
    return mapped >= 0 ? static_cast<uint32>(entry - row_map) : 0xFFFFFFFFu;
  }
  return static_cast<uint32>(mapped);  // negative: too large
}

// For a thread's place among those of a row.
template <class Config>
FOURGE_INLINE SwigluPlace swiglu_place(uint32 unit, const uint8* x, const float* x_scales, uint8* y,
                                       float* y_scales, int64 cols, int64 capacity, uint32 stride) {
  constexpr bool kGateFirst = Config::kOrder == SwigluOrder::gate_first;
  constexpr uint32 kLanes = 8 / kSwigluChunks<Config>;  // of a block
  const uint32 block = unit / kLanes;
  const uint32 column = block * 128 + unit % kLanes * 16;
  SwigluPlace place;
  place.cols = static_cast<uint32>(cols);
  place.row_bytes = kept(2 * place.cols);
  place.linear = kept(x + (kGateFirst ? place.cols + column : column));
  place.gate = kept(x + (kGateFirst ? column : place.cols + column));
  place.y = kept(y + column);
  place.capacity = static_cast<uint32>(capacity);
  place.stride = stride;
  place.writes_scale = unit % kLanes == 0;
  place.thread = threadIdx.y * blockDim.x + threadIdx.x;
  const uint32 blocks = place.cols / 128;
  const uint64 linear_block = kGateFirst ? blocks + block : block;
  const uint64 gate_block = kGateFirst ? block : blocks + block;
  place.linear_scales = kept(x_scales + linear_block * stride);
  place.gate_scales = kept(x_scales + gate_block * stride);
  place.y_scales = kept(y_scales + static_cast<uint64>(block) * stride);
  return place;
}

}  // namespace fourge_device
