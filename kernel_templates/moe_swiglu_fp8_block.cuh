// moe_swiglu_fp8_block: see fourge/moe_swiglu_fp8_block.hpp for the contract.
//
// A thread takes 32 columns of a row (16 with kTokensPerCta = 1, for calls so small that latency counts), the
// four or eight threads of a block of 128 are neighbours, and a CTA takes as many rows side by side as
// fit. Grid x runs over the columns of wide rows, y strides over the entries of the row map. A row's
// loads are on their way while the row before is worked on. Neither shared memory nor a barrier. All
// lanes of a warp stay together; those without a row only do not store.
//
// Exact arithmetic is too much for the memory's speed, so exact mode looks at approximate values first. A
// block's largest magnitude must be known to the last bit: the elements whose approximate code is the
// largest are computed exactly, usually one. A code only has to fall on the right side of the borders
// between codes: all elements are encoded twice, from the two ends of where the exact quotient lies, and
// those that differ are computed exactly. NearSwiglu says where that holds; elsewhere all is exact.
#pragma once

#include "device/async_copy.cuh"
#include "device/block_quotient.cuh"
#include "device/fp8_block.cuh"
#include "device/global_memory.cuh"
#include "device/near_swiglu.cuh"
#include "device/octet.cuh"
#include "device/quad.cuh"
#include "device/store_words.cuh"

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
    copy_async_once(&stage.linear[i][place.thread], linear + 64 * i);
    copy_async_once(&stage.gate[i][place.thread], gate + 64 * i);
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

// The largest of a block, the same in all its lanes; a NaN is skipped.
template <int kWords>
FOURGE_INLINE float swiglu_block_max(float of_thread) {
  const uint32 bits = float_bits(of_thread);
  return float_from_bits(kWords == 8 ? quad_max_of_warp(bits) : octet_max_of_warp(bits));
}
template <int kWords>
FOURGE_INLINE float swiglu_max(const float (&o)[4 * kWords]) {
  float largest[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    largest[k] = max_num(absolute(o[k]), absolute(o[k + 4]));
#pragma unroll
    for (int i = k + 8; i < 4 * kWords; i += 4) {
      largest[k] = max_num(largest[k], absolute(o[i]));
    }
  }
  return swiglu_block_max<kWords>(
      max_num(max_num(max_num(largest[0], largest[1]), largest[2]), max_num(largest[3], 0.0f)));
}

// Sets of a thread's elements, a bit each: byte b of word k is bit 8 b + 7 - k. Bit 7 of each byte of
// flags[k] says whether the byte is in it; other bits do not count.
template <int kWords>
FOURGE_INLINE uint32 swiglu_set(const uint32 (&flags)[kWords]) {
  uint32 set = 0;
#pragma unroll
  for (int k = 0; k < kWords; ++k) {
    set += (flags[k] & 0x80808080u) >> k;
  }
  return set;
}

// Takes an element from the set: 16 for each chunk before it and its place there.
FOURGE_INLINE uint32 take_from(uint32& set) {
  const uint32 bit = 31u - static_cast<uint32>(__clz(static_cast<int>(set)));
  set &= ~(1u << bit);
  return (7u - (bit & 7u)) * 4 + (bit >> 3);
}

template <int kWords>
FOURGE_INLINE void store_swiglu(uint32 row, const uint32 (&codes)[kWords], float scale,
                                const SwigluPlace& place) {
  uint8* const y = advance(place.y, row, place.cols);
#pragma unroll
  for (int i = 0; i < kWords; i += 4) {
    const uint32 chunk[4] = {codes[i], codes[i + 1], codes[i + 2], codes[i + 3]};
    store_words_once(y + 16 * i, chunk);
  }
  if (place.writes_scale) {
    store(advance(place.y_scales, row, 4), scale);
  }
}

template <class Config, int kChunks>
FOURGE_INLINE float swiglu_element(uint32 element, const SwigluStage<kChunks>& stage,
                                   const NearSwiglu<Config>& near, const SwigluPlace& place) {
  const uint32 chunk = element / 16;
  const auto code = [&](const Words4& of) {
    return decode_e4m3_code<Config>(reinterpret_cast<const uint8*>(&of)[element % 16]);
  };
  return swiglu<Config, true>(mul_rn(near.linear_scale, code(stage.linear[chunk][place.thread])),
                              mul_rn(near.gate_scale, code(stage.gate[chunk][place.thread])),
                              near.factors);
}

// By exact arithmetic throughout, or with math=fast.
template <class Config, int kChunks>
FOURGE_INLINE void swiglu_plainly(uint32 row, const SwigluStage<kChunks>& stage,
                                  const SwigluFactors& factors, const SwigluPlace& place) {
  constexpr float kLeastScale = 1.17549435e-38f;  // 2^-126
  constexpr int kWords = 4 * kChunks;
  const float linear_scale = stage.linear_scale[place.thread];
  const float gate_scale = stage.gate_scale[place.thread];
  float o[4 * kWords] = {};
  const auto append = [&](int i) {
#pragma unroll
    for (int k = 0; k < 4 * kWords - 4; ++k) {
      o[k] = o[k + 4];
    }
    float last[4];
    swiglu_word<Config>(stage.linear[i / 4][place.thread].w[i % 4],
                        stage.gate[i / 4][place.thread].w[i % 4], linear_scale, gate_scale, factors,
                        last);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      o[4 * kWords - 4 + k] = last[k];
    }
  };
  if constexpr (Config::kMath == MathMode::fast) {
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      append(i);
    }
  } else {  // rare
#pragma unroll 1
    for (int i = 0; i < kWords; ++i) {
      append(i);
    }
  }
  const float amax = swiglu_max<kWords>(o);
  uint32 codes[kWords];
  float scale;
  if (Config::kMath == MathMode::fast && is_plain_maximum(amax)) {
    scale = divide_by_constant(amax, 448.0f, 0.0022321429569274187f);
    encode_quotients<Config>(o, PlainDivisor<Config::kMath>(scale), codes);
  } else {
    scale = max_num(divide_by_448(amax), kLeastScale);
    encode_quotients<Config>(o, AnyDivisor(scale), codes);
  }
  if (row < place.stride) {
    store_swiglu(row, codes, scale, place);
  }
}

// Codes and scale from approximate values, as exact arithmetic would give them; near.holds() is known.
template <class Config, int kChunks>
FOURGE_INLINE void swiglu_guarded(uint32 row, const float (&o)[16 * kChunks], float near_max,
                                  const NearSwiglu<Config>& near, const SwigluStage<kChunks>& stage,
                                  const SwigluPlace& place) {
  constexpr int kWords = 4 * kChunks;
  const bool is_there = row < place.stride;
  const float off = near.off();
  const float middle = float_from_bits(
      float_bits(rcp_approx(mul_rn(near_max, 0.0022321429569274187f))) ^ near.sign());
  const float below = fma_rn(middle, -off, middle);
  const float above = fma_rn(middle, off, middle);
  uint32 codes[kWords];
  uint32 differing[kWords];
  uint32 largest_ones[kWords];
  uint32 any_differs = 0;
#pragma unroll
  for (int k = 0; k < kWords; ++k) {
    const float* v = o + 4 * k;
    differing[k] = encode_e4m3x4<Config>(mul_rn(v[0], below), mul_rn(v[1], below),
                                         mul_rn(v[2], below), mul_rn(v[3], below));
    codes[k] = encode_e4m3x4<Config>(mul_rn(v[0], above), mul_rn(v[1], above), mul_rn(v[2], above),
                                     mul_rn(v[3], above));
    differing[k] ^= codes[k];
    any_differs |= differing[k];
    largest_ones[k] = (codes[k] & 0x7F7F7F7Fu) + 0x02020202u;
  }
  uint32 set = is_there ? swiglu_set(largest_ones) : 0;
  float largest = 0.0f;
#pragma unroll 1
  while (set != 0) {
    largest = max_num(largest, absolute(swiglu_element(take_from(set), stage, near, place)));
  }
  const float scale =
      divide_by_constant(swiglu_block_max<kWords>(largest), 448.0f, 0.0022321429569274187f);
  if (!is_there) {
    return;
  }
  store_swiglu(row, codes, scale, place);
  if (unlikely(any_differs != 0)) {
#pragma unroll
    for (int k = 0; k < kWords; ++k) {
      differing[k] |= (differing[k] & 0x7F7F7F7Fu) + 0x7F7F7F7Fu;
    }
    const AnyDivisor divisor(scale);
    uint8* const y = advance(place.y, row, place.cols);
    set = swiglu_set(differing);
#pragma unroll 1
    while (set != 0) {
      const uint32 element = take_from(set);
      const float quotient = divisor.divide(swiglu_element(element, stage, near, place));
      store(y + (element / 16 * 64 + element % 16),
            static_cast<uint8>(encode_e4m3<Config>(quotient)));
    }
  }
}

template <class Config, int kChunks>
FOURGE_INLINE void swiglu_row(uint32 row, const SwigluStage<kChunks>& stage,
                              const SwigluFactors& factors, const SwigluPlace& place) {
  if constexpr (Config::kMath == MathMode::exact) {
    const SwigluRow<4 * kChunks> data = take_row(place, stage);
    const NearSwiglu<Config> near(data.linear_scale, data.gate_scale, factors);
    float o[16 * kChunks];
#pragma unroll
    for (int i = 0; i < 4 * kChunks; ++i) {
      const Floats4 l = decode_e4m3x4<Config>(data.linear[i]);
      const Floats4 g = decode_e4m3x4<Config>(data.gate[i]);
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        o[4 * i + k] = near.value(l.v[k], g.v[k]);
      }
    }
    const float near_max = swiglu_max<4 * kChunks>(o);
    if (__all_sync(0xFFFFFFFFu, near.holds(near_max) || row >= place.stride)) {
      swiglu_guarded<Config, kChunks>(row, o, near_max, near, stage, place);
      return;
    }
  }
  swiglu_plainly<Config>(row, stage, factors, place);
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

template <class Config>
FOURGE_INLINE void moe_swiglu_fp8_block_kernel(const uint8* x, const float* x_scales, uint8* y,
                                               float* y_scales, const int* row_map,
                                               const int* padded_rows, int64 tokens, int64 top_k,
                                               int64 cols, int64 capacity, float limit, float alpha,
                                               float beta) {
  constexpr bool kAhead = Config::kTokensPerCta != 2;
  constexpr uint32 kLookedUp = Config::kTokensPerCta == 4 ? 4 : 1;
  constexpr int kChunks = kSwigluChunks<Config>;
  constexpr bool kInverse = Config::kRows == RowSource::inverse;
  const uint32 own = blockIdx.x * blockDim.x + threadIdx.x;
  const bool active = own < static_cast<uint32>(cols) / (16 * kChunks);
  const uint32 unit = active ? own : 0;
  __shared__ SwigluStage<kChunks> stages[kAhead ? 2 : 1];
  const SwigluFactors factors{limit, alpha, beta};

  wait_for_predecessor<Config>();
  // A round is a row for every thread. The lanes of a quad look up the rows of kLookedUp rounds, one each,
  // and that so many rounds before the first of them is asked for.
  const int64 step = static_cast<int64>(gridDim.y) * blockDim.y;
  const int* const map_end = active ? row_map + (kInverse ? capacity : tokens * top_k) : row_map;
  const int* of_cta = row_map + blockIdx.y * blockDim.y;
  const int* own_entry = of_cta + threadIdx.y + threadIdx.x % kLookedUp * step;
  uint32 rows = swiglu_row_of<Config>(row_map, own_entry, map_end);
  uint32 later = 0xFFFFFFFFu;
  if constexpr (kAhead) {
    own_entry += kLookedUp * step;
    later = swiglu_row_of<Config>(row_map, own_entry, map_end);
  }

  const int given = load(padded_rows);
  const uint32 stride = given >= 0 && given <= capacity ? static_cast<uint32>(given) : 0;
  const int* const end = row_map + (kInverse ? stride : tokens * top_k);
  if constexpr (!kAhead) {
    while (of_cta < end) {
      if (__any_sync(0xFFFFFFFFu, rows < static_cast<uint32>(capacity))) {
        // Made for each row, so that no register has to keep it.
        const SwigluPlace place =
            swiglu_place<Config>(kept(unit), x, x_scales, y, y_scales, cols, capacity, stride);
        ask_for_row(rows, place, stages[0]);
        end_copy_group();
        wait_for_copies<0>();
        swiglu_row<Config>(rows, stages[0], factors, place);
      }
      of_cta += step;
      own_entry += step;
      rows = swiglu_row_of<Config>(row_map, own_entry, map_end);
    }
    return;
  }
  const SwigluPlace place =
      swiglu_place<Config>(unit, x, x_scales, y, y_scales, cols, capacity, stride);
  uint32 row = kLookedUp == 1 ? rows : quad_broadcast_in_warp(rows, 0);
  bool any = __any_sync(0xFFFFFFFFu, row < place.capacity);
  uint32 at = 0;
  if (any) {
    ask_for_row(row, place, stages[at]);
  }
  end_copy_group();
  uint32 i = 0;
  for (; of_cta < end; of_cta += step) {
    uint32 next = later;
    if constexpr (kLookedUp > 1) {
      next = quad_broadcast_in_warp(i + 1 < kLookedUp ? rows : later, (i + 1) % kLookedUp);
    }
    const bool any_next = __any_sync(0xFFFFFFFFu, next < place.capacity);
    if (any_next) {
      ask_for_row(next, place, stages[at ^ 1]);
    }
    end_copy_group();
    if (++i == kLookedUp) {
      i = 0;
      rows = later;
      own_entry += kLookedUp * step;
      later = swiglu_row_of<Config>(row_map, own_entry, map_end);
    }
    if (any) {
      wait_for_copies<1>();
      swiglu_row<Config>(row, stages[at], factors, place);
    }
    row = next;
    any = any_next;
    at ^= 1;
  }
  wait_for_copies<0>();
}

}  // namespace fourge_device
