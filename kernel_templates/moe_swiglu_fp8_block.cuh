// moe_swiglu_fp8_block: see fourge/moe_swiglu_fp8_block.hpp for the contract.
//
// A thread takes 32 columns of a row (16 with kTokensPerCta = 1, for calls so small that latency counts), the
// four or eight threads of a block of 128 are neighbours, and a CTA takes as many rows side by side as
// fit. Grid x runs over the columns of wide rows, y and z over the entries of the row map. With
// kTokensPerCta = 4 most CTAs take four rounds of rows, the next one on its way to shared memory while one is
// worked on. The hardware hands out CTAs as others end: a grid of as many as run at a time ends raggedly. No
// barrier of the CTA. All lanes of a warp stay together; those without a row only do not store.
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
  return float_from_bits(kWords == 8 ? quad_max_of_warp(bits) : octet_max(bits));
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

// Takes an element from the set: by how many bits its own is away from the highest.
FOURGE_INLINE uint32 take_from(uint32& set) {
  const uint32 place = static_cast<uint32>(__clz(static_cast<int>(set)));
  set &= ~(0x80000000u >> place);
  return place;
}

// Where it lies: byte 3 - place / 8 of word place % 8, of which four make a chunk, chunks so many bytes apart.
template <uint32 kApart>
FOURGE_INLINE uint32 swiglu_offset(uint32 place) {
  if constexpr (kApart == 512) {  // the two multiples have no bit in common
    return ((place * (4 + 128)) & (12 + 512)) + (3 - place / 8);
  }
  return place % 4 * 4 + place / 4 % 2 * kApart + (3 - place / 8);
}

template <class Config, int kChunks>
FOURGE_INLINE float swiglu_element(uint32 element, SharedAddress codes,
                                   const NearSwiglu<Config>& near) {
  using Stages = SwigluStages<kChunks>;
  const SharedAddress place = codes + swiglu_offset<Stages::kStride>(element);
  const float linear = decode_e4m3_code<Config>(shared_byte(place));
  const float gate = decode_e4m3_code<Config>(shared_byte(place + Stages::kGate));
  return swiglu<Config, true>(mul_rn(near.linear_scale, linear), mul_rn(near.gate_scale, gate),
                              near.factors);
}

// By exact arithmetic throughout, or with math=fast.
template <class Config, int kChunks>
FOURGE_INLINE void swiglu_plainly(uint32 row, const SwigluStages<kChunks>& stages, uint32 at,
                                  const SwigluFactors& factors, const SwigluPlace& place) {
  constexpr float kLeastScale = 1.17549435e-38f;  // 2^-126
  constexpr int kWords = 4 * kChunks;
  using Stages = SwigluStages<kChunks>;
  const Floats2 scales = shared_floats(stages.scales + at);
  float o[4 * kWords] = {};
  const auto append = [&](int i) {
#pragma unroll
    for (int k = 0; k < 4 * kWords - 4; ++k) {
      o[k] = o[k + 4];
    }
    float last[4];
    const SharedAddress codes =
        stages.codes + (at + static_cast<uint32>(i / 4) * Stages::kStride + i % 4 * 4u);
    swiglu_word<Config>(shared_word(codes), shared_word(codes + Stages::kGate), scales.v[0],
                        scales.v[1], factors, last);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      o[4 * kWords - 4 + k] = last[k];
    }
  };
  if constexpr (Config::kMath() == MathMode::fast) {
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
  if (Config::kMath() == MathMode::fast && is_plain_maximum(amax)) {
    scale = divide_by_constant(amax, 448.0f, 0.0022321429569274187f);
    encode_quotients<Config>(o, PlainDivisor<Config::kMath()>(scale), codes);
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
                                  const NearSwiglu<Config>& near, SharedAddress codes_at,
                                  const SwigluPlace& place) {
  constexpr int kWords = 4 * kChunks;
  const float off = near.off();
  const float middle = float_from_bits(
      float_bits(rcp_approx(mul_rn(near_max, 0.0022321429569274187f))) ^ near.sign());
  const float below = fma_rn(middle, -off, middle);
  const float above = fma_rn(middle, off, middle);
  uint32 codes[kWords];
  uint32 lower[kWords];
  uint32 largest_ones[kWords];
  uint32 any_differs = 0;
#pragma unroll
  for (int k = 0; k < kWords; ++k) {
    const float* v = o + 4 * k;
    lower[k] = encode_e4m3x4<Config>(mul_rn(v[0], below), mul_rn(v[1], below), mul_rn(v[2], below),
                                     mul_rn(v[3], below));
    codes[k] = encode_e4m3x4<Config>(mul_rn(v[0], above), mul_rn(v[1], above), mul_rn(v[2], above),
                                     mul_rn(v[3], above));
    any_differs |= lower[k] ^ codes[k];
    // Bit 7 changes where the others are 126 at least. A carry from the byte below may add
    // another element, which costs its time only; codes are at most 126, so it takes none out, but
    // for NaN (127), which do not count.
    largest_ones[k] = (codes[k] + 0x02020202u) ^ codes[k];
  }
  uint32 differing = 0;
  if (unlikely(any_differs != 0)) {
    // Such codes are neighbours, so their lowest bits differ.
#pragma unroll
    for (int k = 0; k < kWords; ++k) {
      differing += ((lower[k] ^ codes[k]) & 0x01010101u) << (7 - k);
    }
  }
  // Every lane computes one element, so that this takes the time of one: one that differs, else one that may
  // be the largest, else any, which does no harm.
  uint32 left = swiglu_set(largest_ones);
  uint32 chosen = differing != 0 ? differing : left | (1u << (8 - kWords));
  const uint32 first = take_from(chosen);
  const float value = swiglu_element<Config, kChunks>(first, codes_at, near);
  float largest = max_num(absolute(value), 0.0f);
  left &= ~(0x80000000u >> first);
#pragma unroll 1
  while (left != 0) {
    largest = max_num(largest,
                      absolute(swiglu_element<Config, kChunks>(take_from(left), codes_at, near)));
  }
  const float scale =
      divide_by_constant(swiglu_block_max<kWords>(largest), 448.0f, 0.0022321429569274187f);
  if (row >= place.stride) {
    return;
  }
  store_swiglu(row, codes, scale, place);
  if (unlikely(differing != 0)) {
    const AnyDivisor divisor(scale);
    uint8* const y = advance(place.y, row, place.cols);
    const auto encode = [&](uint32 element, float exact) {
      store(y + swiglu_offset<64>(element),
            static_cast<uint8>(encode_e4m3<Config>(divisor.divide(exact))));
    };
    encode(first, value);
#pragma unroll 1
    while (chosen != 0) {
      const uint32 element = take_from(chosen);
      encode(element, swiglu_element<Config, kChunks>(element, codes_at, near));
    }
  }
}

template <class Config, int kChunks>
FOURGE_INLINE void swiglu_row(uint32 row, const SwigluStages<kChunks>& stages, uint32 at,
                              const SwigluFactors& factors, const SwigluPlace& place) {
  if constexpr (Config::kMath() == MathMode::exact) {
    const SwigluRow<4 * kChunks> data = take_row(stages, at);
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
    if (__all_sync(0xFFFFFFFFu, near.holds(near_max) | (row >= place.stride))) {
      swiglu_guarded<Config, kChunks>(row, o, near_max, near, stages.codes + at, place);
      return;
    }
  }
  swiglu_plainly<Config>(row, stages, at, factors, place);
}

// Rounds of neighbouring entries, in a round a row for every thread, make a run, and a run is a CTA's. The CTAs
// that start last have a round each, so that all end at nearly the same time; what they take are the first
// rounds of the map. The lanes of a quad look up the rows of a run, one each.
template <class Config>
inline constexpr uint32 kSwigluRun = Config::kTokensPerCta() == 4 ? 4 : 1;

// How many of the CTAs take a run. The launch rule counts the same way.
FOURGE_INLINE uint32 swiglu_runs(uint32 ctas) {
  const int all = static_cast<int>(ctas);
  const int of_many = 2 * all - 4608 < all - 1024 ? 2 * all - 4608 : all - 1024;
  return static_cast<uint32>(all / 5 < of_many ? of_many : all / 5);
}

// The rows of a run, the next one on its way while one is worked on.
template <class Config, int kChunks>
FOURGE_INLINE void swiglu_run(uint32 rows, uint32 rounds, const SwigluStages<kChunks>& stages,
                              const SwigluFactors& factors, const SwigluPlace& place) {
  constexpr uint32 kOther = SwigluStages<kChunks>::kBytes;
  uint32 row = quad_broadcast_in_warp(rows, 0);
  bool any = __any_sync(0xFFFFFFFFu, row < place.capacity);
  uint32 at = 0;
  if (any) {
    ask_for_row(row, place, stages, at);
  }
  end_copy_group();
#pragma unroll 1
  for (uint32 i = 1;; ++i) {
    const uint32 next = quad_broadcast_in_warp(rows, i);
    const bool any_next = i < rounds && __any_sync(0xFFFFFFFFu, next < place.capacity);
    if (any_next) {
      ask_for_row(next, place, stages, kOther - at);
    }
    end_copy_group();
    if (any) {
      wait_for_copies<1>();
      __syncwarp();
      swiglu_row<Config>(row, stages, at, factors, place);
    }
    if (i >= rounds) {
      return;
    }
    row = next;
    any = any_next;
    at = kOther - at;
  }
}

template <class Config>
FOURGE_INLINE void moe_swiglu_fp8_block_kernel(const uint8* x, const float* x_scales, uint8* y,
                                               float* y_scales, const int* row_map,
                                               const int* padded_rows, int64 tokens, int64 top_k,
                                               int64 cols, int64 capacity, float limit, float alpha,
                                               float beta) {
  constexpr uint32 kRun = kSwigluRun<Config>;
  constexpr int kChunks = kSwigluChunks<Config>;
  constexpr bool kInverse = Config::kRows() == RowSource::inverse;
  constexpr uint32 kBytesOfWarp = SwigluStages<kChunks>::kBytes * (kRun > 1 ? 2 : 1);
  const uint32 own = blockIdx.x * blockDim.x + threadIdx.x;
  const bool active = own < static_cast<uint32>(cols) / (16 * kChunks);
  const uint32 unit = active ? own : 0;
  __shared__ Words4 shared[4 * kBytesOfWarp / 16];
  const uint32 thread = threadIdx.y * blockDim.x + threadIdx.x;
  const SwigluStages<kChunks> stages(shared + thread / 32 * (kBytesOfWarp / 16), thread % 32);
  const SwigluFactors factors{limit, alpha, beta};
  const int* const map_end = row_map + (kInverse ? capacity : tokens * top_k);

  // Where y is not enough, z goes on, and every CTA takes a run.
  const uint32 cta = blockIdx.z * gridDim.y + blockIdx.y;
  const uint32 ctas = gridDim.z * gridDim.y;
  const uint32 runs = kRun == 1 || gridDim.z > 1 ? ctas : swiglu_runs(ctas);
  const bool is_run = cta < runs;
  const uint32 round = is_run ? cta * kRun + (ctas - runs) : cta - runs;
  const int* const of_cta = row_map + static_cast<int64>(round) * blockDim.y;
  const int* const entry = of_cta + (threadIdx.x % kRun * blockDim.y + threadIdx.y);

  wait_for_predecessor<Config, true>();
  // Both before either is used.
  const int mapped = load(entry < map_end ? entry : row_map);
  const int given = load(padded_rows);
  const uint32 rows = swiglu_row_of<Config>(mapped, row_map, entry, active ? map_end : row_map);
  const uint32 stride = given >= 0 && given <= capacity ? static_cast<uint32>(given) : 0;
  if (of_cta >= (kInverse ? row_map + stride : map_end) ||
      !__any_sync(0xFFFFFFFFu, rows < static_cast<uint32>(capacity))) {
    return;
  }
  const SwigluPlace place =
      swiglu_place<Config>(kept(unit), x, x_scales, y, y_scales, cols, capacity, stride);
  if constexpr (kRun > 1) {
    swiglu_run<Config>(rows, is_run ? kRun : 1, stages, factors, place);
  } else {
    ask_for_row(rows, place, stages, 0);
    end_copy_group();
    wait_for_copies<0>();
    __syncwarp();
    swiglu_row<Config>(rows, stages, 0, factors, place);
  }
}

}  // namespace fourge_device
