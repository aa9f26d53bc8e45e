// moe_swiglu_fp8_block: see fourge/moe_swiglu_fp8_block.hpp for the contract.
//
// A thread takes 32 columns of a row (16 with kTokensPerCta = 1, for calls so small that latency counts), the
// four or eight threads of a block of 128 are neighbours, and a CTA takes as many rows side by side as
// fit. Grid x runs over the columns of wide rows, y strides over the entries of the row map, a row for
// every thread in a round. The next row comes to shared memory while a row is worked on, but not with
// kTokensPerCta = 2, where the rows of a call are meant to fit the device at once. No barrier. All lanes of a
// warp stay together; those without a row only do not store.
//
// Exact arithmetic is too much for the memory's speed, so exact mode looks at approximate values first. A
// block's largest magnitude must be known to the last bit: the elements whose approximate code is the
// largest are computed exactly, usually one. A code only has to fall on the right side of the borders
// between codes: all elements are encoded twice, from the two ends of where the exact quotient lies, and
// those that differ are computed exactly. NearSwiglu says where that holds; elsewhere all is exact.
#pragma once

#include "device/block_quotient.cuh"
#include "device/fp8_block.cuh"
#include "device/near_swiglu.cuh"
#include "device/octet.cuh"
#include "device/quad.cuh"
#include "device/swiglu_rows.cuh"

namespace fourge_device {

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

// A CTA's way through the map, of which all CTAs together take neighbouring entries in a round. The lanes of a
// quad look up the rows of kLookedUp rounds, one each.
template <class Config>
struct SwigluRounds {
  static constexpr uint32 kLookedUp = Config::kTokensPerCta == 4 ? 4 : 1;
  const int* row_map;
  const int* map_end;  // none is looked up from here on
  const int* of_cta;   // the CTA's first entry of the round
  const int* own;
  int64 step;

  FOURGE_INLINE SwigluRounds(const int* map, int64 entries, bool active) : row_map(map) {
    map_end = active ? map + entries : map;
    of_cta = map + static_cast<int64>(blockIdx.y) * blockDim.y;
    step = static_cast<int64>(gridDim.y) * blockDim.y;
    own = of_cta + threadIdx.x % kLookedUp * step + threadIdx.y;
  }
  FOURGE_INLINE uint32 look_up() {
    const uint32 row = swiglu_row_of<Config>(row_map, own, map_end);
    own += kLookedUp * step;
    return row;
  }
  static FOURGE_INLINE uint32 row_of_round(uint32 i, uint32 rows) {
    return kLookedUp == 1 ? rows : quad_broadcast_in_warp(rows, i);
  }
};

// The rows of a thread, the next one on its way while it works on one. first and later are what has been
// looked up: rows are looked up so early that asking for one never waits for the map.
template <class Config, int kChunks>
FOURGE_INLINE void swiglu_rows_ahead(SwigluRounds<Config> rounds, const int* end, uint32 first,
                                     uint32 later, SwigluStage<kChunks> (&stages)[2],
                                     const SwigluFactors& factors, const SwigluPlace& place) {
  constexpr uint32 kLookedUp = SwigluRounds<Config>::kLookedUp;
  uint32 row = rounds.row_of_round(0, first);
  bool any = __any_sync(0xFFFFFFFFu, row < place.capacity);
  uint32 at = 0;
  if (any) {
    ask_for_row(row, place, stages[at]);
  }
  end_copy_group();
  uint32 i = 0;
  for (; rounds.of_cta < end; rounds.of_cta += rounds.step) {
    ++i;
    const uint32 next = rounds.row_of_round(i % kLookedUp, i < kLookedUp ? first : later);
    const bool any_next = __any_sync(0xFFFFFFFFu, next < place.capacity);
    if (any_next) {
      ask_for_row(next, place, stages[at ^ 1]);
    }
    end_copy_group();
    if (i == kLookedUp) {
      i = 0;
      first = later;
      later = rounds.look_up();
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

template <class Config>
FOURGE_INLINE void moe_swiglu_fp8_block_kernel(const uint8* x, const float* x_scales, uint8* y,
                                               float* y_scales, const int* row_map,
                                               const int* padded_rows, int64 tokens, int64 top_k,
                                               int64 cols, int64 capacity, float limit, float alpha,
                                               float beta) {
  constexpr bool kAhead = Config::kTokensPerCta != 2;
  constexpr int kChunks = kSwigluChunks<Config>;
  constexpr bool kInverse = Config::kRows == RowSource::inverse;
  const uint32 own = blockIdx.x * blockDim.x + threadIdx.x;
  const bool active = own < static_cast<uint32>(cols) / (16 * kChunks);
  const uint32 unit = active ? own : 0;
  __shared__ SwigluStage<kChunks> stages[kAhead ? 2 : 1];
  const SwigluFactors factors{limit, alpha, beta};

  wait_for_predecessor<Config>();
  SwigluRounds<Config> rounds(row_map, kInverse ? capacity : tokens * top_k, active);
  uint32 first = rounds.look_up();
  const uint32 later = kAhead ? rounds.look_up() : 0;
  const int given = load(padded_rows);
  const uint32 stride = given >= 0 && given <= capacity ? static_cast<uint32>(given) : 0;
  const int* const end = row_map + (kInverse ? stride : tokens * top_k);
  if constexpr (kAhead) {
    swiglu_rows_ahead(rounds, end, first, later, stages, factors,
                      swiglu_place<Config>(unit, x, x_scales, y, y_scales, cols, capacity, stride));
  } else {
    for (; rounds.of_cta < end; rounds.of_cta += rounds.step) {
      if (__any_sync(0xFFFFFFFFu, first < static_cast<uint32>(capacity))) {
        // Made for each row, so that no register has to keep it.
        const SwigluPlace place =
            swiglu_place<Config>(kept(unit), x, x_scales, y, y_scales, cols, capacity, stride);
        ask_for_row(first, place, stages[0]);
        end_copy_group();
        wait_for_copies<0>();
        swiglu_row<Config>(first, stages[0], factors, place);
      }
      first = rounds.look_up();
    }
  }
}

}  // namespace fourge_device
