// moe_swiglu_fp8_block: see fourge/moe_swiglu_fp8_block.hpp for the contract.
//
// Four neighbouring lanes take a block of 128 columns of a row; the block's 64ths bytes 0 to 63 and 64 to
// 127 are two loads of the four, so that a load of theirs is a whole sector pair. What a row costs beside
// its elements is therefore paid once for 32 of them. Neither shared memory nor a barrier: other warps
// work while one waits. A CTA takes as many rows at a time as its threads hold, each thread kTokensPerCta
// of them one after another. Grid x runs over the columns of wide rows, y strides over the entries of
// the row map. All lanes of a warp stay together; those without a row only do not store.
#pragma once

#include "device/block_quotient.cuh"
#include "device/e4m3_decode.cuh"
#include "device/fp8_block.cuh"
#include "device/global_memory.cuh"
#include "device/quad.cuh"
#include "device/store_words.cuh"
#include "device/swish.cuh"

namespace fourge_device {

enum class SwigluForm { plain, clamped };
enum class SwigluOrder { linear_first, gate_first };
enum class RowSource { map, inverse };

struct SwigluFactors {
  float limit;
  float alpha;
  float beta;
};

// One row's share of a thread: 16 columns, and the 16 that lie 64 further on.
struct SwigluRow {
  uint32 linear[8];
  uint32 gate[8];
  float linear_scale;
  float gate_scale;
};

// kBounded: the caller knows that |t| and alpha are small enough for it.
template <class Config, bool kBounded>
FOURGE_INLINE float swiglu(float linear, float gate, const SwigluFactors& factors) {
  float t = gate;
  if constexpr (Config::kForm == SwigluForm::clamped) {
    gate = min_or_nan(gate, factors.limit);
    linear = add_rn(max_or_nan(min_or_nan(linear, factors.limit), -factors.limit), factors.beta);
    t = mul_rn(factors.alpha, gate);
  }
  return mul_rn(linear, swish<Config::kMath, kBounded>(gate, t));
}

template <class Config>
FOURGE_INLINE void swiglu_word(uint32 linear, uint32 gate, const SwigluRow& row,
                               const SwigluFactors& factors, float* out) {
  const Floats4 l = decode_e4m3x4<Config>(linear);
  const Floats4 g = decode_e4m3x4<Config>(gate);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    out[i] = swiglu<Config, false>(mul_rn(row.linear_scale, l.v[i]),
                                      mul_rn(row.gate_scale, g.v[i]), factors);
  }
}

template <class Config>
FOURGE_INLINE void swiglu_values(const SwigluRow& row, const SwigluFactors& factors,
                                 float (&o)[32]) {
  if constexpr (Config::kMath == MathMode::fast) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      swiglu_word<Config>(row.linear[i], row.gate[i], row, factors, o + 4 * i);
    }
  } else {
    // Rare, so one copy of it: words and results move through the first place.
    SwigluRow rest = row;
#pragma unroll 1
    for (int i = 0; i < 8; ++i) {
#pragma unroll
      for (int k = 0; k < 28; ++k) {
        o[k] = o[k + 4];
      }
      swiglu_word<Config>(rest.linear[0], rest.gate[0], row, factors, o + 28);
#pragma unroll
      for (int k = 0; k < 7; ++k) {
        rest.linear[k] = rest.linear[k + 1];
        rest.gate[k] = rest.gate[k + 1];
      }
    }
  }
}

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
};

FOURGE_INLINE void load_words8_apart(const uint8* p, uint32 (&w)[8]) {
  const Words4 first = load_words4(p);
  const Words4 second = load_words4(p + 64);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    w[k] = first.w[k];
    w[k + 4] = second.w[k];
  }
}

FOURGE_INLINE SwigluRow load_swiglu_row(uint32 row, const SwigluPlace& place) {
  // One that is not there reads another's numbers, and nothing comes of them.
  row = row < place.capacity ? row : place.capacity - 1;
  SwigluRow data;
  load_words8_apart(advance(place.linear, row, place.row_bytes), data.linear);
  load_words8_apart(advance(place.gate, row, place.row_bytes), data.gate);
  data.linear_scale = load(advance(place.linear_scales, row, 4));
  data.gate_scale = load(advance(place.gate_scales, row, 4));
  return data;
}

// The largest of a block, the same in all four lanes; a NaN is skipped.
FOURGE_INLINE float swiglu_block_max(const float (&o)[32]) {
  float largest[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    largest[k] = max_num(absolute(o[k]), absolute(o[k + 4]));
#pragma unroll
    for (int i = k + 8; i < 32; i += 4) {
      largest[k] = max_num(largest[k], absolute(o[i]));
    }
  }
  const float of_thread =
      max_num(max_num(max_num(largest[0], largest[1]), largest[2]), max_num(largest[3], 0.0f));
  return float_from_bits(quad_max_of_warp(float_bits(of_thread)));
}

// What swiglu() gives, nearly and but for a factor that a block has in common: the scales, in the plain form.
template <class Config>
struct NearSwiglu {
  float linear_scale;
  float gate_scale;
  SwigluFactors factors;
  float z_factor;   // z = code * z_factor
  float largest_t;  // no |t| is larger, whatever the code, which is at most 448

  FOURGE_INLINE NearSwiglu(const SwigluRow& row, const SwigluFactors& f) : factors(f) {
    constexpr float kMinusLog2E = -1.44269502f;
    linear_scale = row.linear_scale;
    gate_scale = row.gate_scale;
    largest_t = mul_rn(absolute(gate_scale), 448.0f);
    if constexpr (Config::kForm == SwigluForm::clamped) {
      const float slope = absolute(factors.alpha);
      largest_t = slope <= 32.0f ? mul_rn(slope, largest_t) : kFloatMax;
    }
    z_factor = mul_rn(gate_scale, kMinusLog2E);
  }
  FOURGE_INLINE float value(float l, float g) const {
    if constexpr (Config::kForm == SwigluForm::clamped) {
      constexpr float kMinusLog2E = -1.44269502f;
      const float gate = min_or_nan(mul_rn(gate_scale, g), factors.limit);
      const float linear = max_or_nan(min_or_nan(mul_rn(linear_scale, l), factors.limit),
                                      -factors.limit);
      return mul_rn(add_rn(linear, factors.beta),
                    swish_near(gate, mul_rn(mul_rn(factors.alpha, gate), kMinusLog2E)));
    } else {
      return mul_rn(l, swish_near(g, mul_rn(g, z_factor)));
    }
  }
  // The sign of the common factor, as a bit.
  FOURGE_INLINE uint32 sign() const {
    if constexpr (Config::kForm == SwigluForm::clamped) {
      return 0;
    } else {
      return (float_bits(linear_scale) ^ float_bits(gate_scale)) & 0x80000000u;
    }
  }
  // Whether value() of a block with this maximum is within off() of what exact arithmetic gives,
  // except where both are less than a 2^-20th of the maximum's last place: nothing that matters may
  // be subnormal, in either arithmetic.
  FOURGE_INLINE bool holds(float near_max) const {
    const auto within = [](float v, int low, int high) {  // 2^low <= |v| < 2^high
      const uint32 bits = float_bits(absolute(v));
      return bits - (static_cast<uint32>(low + 127) << 23) <
             static_cast<uint32>(high - low) << 23;
    };
    bool linear_fits = within(linear_scale, -30, 60);
    if constexpr (Config::kForm == SwigluForm::clamped) {
      linear_fits = linear_fits && absolute(factors.beta) < 1e18f;
    }
    return linear_fits && within(near_max, -30, 60) && absolute(gate_scale) >= 9.3132257e-10f &&
           largest_t <= kBoundedSwish;
  }
  // As a part of the quotient of a value and the maximum, with all roundings until it is a code. In units of
  // 2^-24: three roundings of z, times ln 2, make at most 3.1 |t| of the exponential, which has 2 units in
  // the last place (4) beside, exact mode's 4; sums, reciprocals, products and scales 10 more. All
  // that twice, for the value and the maximum, and 10 for the quotients: 46 + 6.2 |t|.
  FOURGE_INLINE float off() const {
    return fma_rn(largest_t, 8.0f * 5.9604645e-8f, 64.0f * 5.9604645e-8f);
  }
};

// The element that is `offset` columns behind a thread's first, by exact arithmetic.
template <class Config>
FOURGE_INLINE float swiglu_element(const uint8* linear, const uint8* gate, uint32 offset,
                                   const SwigluRow& row, const SwigluFactors& factors) {
  const float l = decode_e4m3_code<Config>(load(linear + offset));
  const float g = decode_e4m3_code<Config>(load(gate + offset));
  return swiglu<Config, true>(mul_rn(row.linear_scale, l), mul_rn(row.gate_scale, g), factors);
}

// Sets of a thread's elements, a bit each: byte b of word k is bit 8 b + 7 - k. Bit 7 of each byte of
// flags[k] says whether the byte is in it; other bits do not count.
FOURGE_INLINE uint32 swiglu_set(const uint32 (&flags)[8]) {
  uint32 set = 0;
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    set += (flags[k] & 0x80808080u) >> k;
  }
  return set;
}

// Takes an element from the set: how many columns it is behind the thread's first.
FOURGE_INLINE uint32 take_from(uint32& set) {
  const uint32 bit = 31u - static_cast<uint32>(__clz(static_cast<int>(set)));
  set &= ~(1u << bit);
  const uint32 word = 7u - (bit & 7u);
  return (word >> 2) * 64 + (word & 3u) * 4 + (bit >> 3);
}

FOURGE_INLINE void store_swiglu(uint32 row, const uint32 (&codes)[8], float scale,
                                const SwigluPlace& place) {
  uint8* const y = advance(place.y, row, place.cols);
  const uint32 first[4] = {codes[0], codes[1], codes[2], codes[3]};
  const uint32 second[4] = {codes[4], codes[5], codes[6], codes[7]};
  store_words(y, first);
  store_words(y + 64, second);
  if (place.writes_scale) {
    store(advance(place.y_scales, row, 4), scale);
  }
}

// A thread's part of a row. False: not by this way; then nothing is stored.
template <class Config>
FOURGE_INLINE bool swiglu_guarded(uint32 row_index, const SwigluRow& row,
                                  const SwigluFactors& factors, const SwigluPlace& place) {
  const bool is_there = row_index < place.stride;
  const NearSwiglu<Config> near(row, factors);
  float o[32];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const Floats4 l = decode_e4m3x4<Config>(row.linear[i]);
    const Floats4 g = decode_e4m3x4<Config>(row.gate[i]);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      o[4 * i + k] = near.value(l.v[k], g.v[k]);
    }
  }
  const float near_max = swiglu_block_max(o);
  if (!__all_sync(0xFFFFFFFFu, near.holds(near_max) || !is_there)) {
    return false;
  }
  const float off = near.off();
  const float middle = float_from_bits(
      float_bits(rcp_approx(mul_rn(near_max, 0.0022321429569274187f))) ^ near.sign());
  const float below = fma_rn(middle, -off, middle);
  const float above = fma_rn(middle, off, middle);
  uint32 codes[8];
  uint32 differing[8];
  uint32 largest_ones[8];
  uint32 any_differs = 0;
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const float* v = o + 4 * k;
    differing[k] = encode_e4m3x4<Config>(mul_rn(v[0], below), mul_rn(v[1], below),
                                         mul_rn(v[2], below), mul_rn(v[3], below));
    codes[k] = encode_e4m3x4<Config>(mul_rn(v[0], above), mul_rn(v[1], above), mul_rn(v[2], above),
                                     mul_rn(v[3], above));
    differing[k] ^= codes[k];
    any_differs |= differing[k];
    largest_ones[k] = (codes[k] & 0x7F7F7F7Fu) + 0x02020202u;
  }
  const uint8* const linear = advance(place.linear, row_index, place.row_bytes);
  const uint8* const gate = advance(place.gate, row_index, place.row_bytes);
  uint32 set = is_there ? swiglu_set(largest_ones) : 0;
  float largest = 0.0f;
#pragma unroll 1
  while (set != 0) {
    const float o = swiglu_element<Config>(linear, gate, take_from(set), row, factors);
    largest = max_num(largest, absolute(o));
  }
  largest = float_from_bits(quad_max_of_warp(float_bits(largest)));
  const float scale = divide_by_constant(largest, 448.0f, 0.0022321429569274187f);
  if (is_there) {
    store_swiglu(row_index, codes, scale, place);
    if (unlikely(any_differs != 0)) {
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        differing[k] |= (differing[k] & 0x7F7F7F7Fu) + 0x7F7F7F7Fu;
      }
      const AnyDivisor divisor(scale);
      uint8* const y = advance(place.y, row_index, place.cols);
      set = swiglu_set(differing);
#pragma unroll 1
      while (set != 0) {
        const uint32 offset = take_from(set);
        const float o = swiglu_element<Config>(linear, gate, offset, row, factors);
        store(y + offset, static_cast<uint8>(encode_e4m3<Config>(divisor.divide(o))));
      }
    }
  }
  return true;
}

// The same by exact arithmetic throughout, or with math=fast.
template <class Config>
FOURGE_INLINE void swiglu_plainly(uint32 row_index, const SwigluRow& row,
                                  const SwigluFactors& factors, const SwigluPlace& place) {
  constexpr float kLeastScale = 1.17549435e-38f;  // 2^-126
  float o[32] = {};
  swiglu_values<Config>(row, factors, o);
  const float amax = swiglu_block_max(o);
  uint32 codes[8];
  float scale;
  if (Config::kMath == MathMode::fast && is_plain_maximum(amax)) {
    scale = divide_by_constant(amax, 448.0f, 0.0022321429569274187f);
    encode_quotients<Config>(o, PlainDivisor<Config::kMath>(scale), codes);
  } else {
    scale = max_num(divide_by_448(amax), kLeastScale);
    encode_quotients<Config>(o, AnyDivisor(scale), codes);
  }
  if (row_index < place.stride) {
    store_swiglu(row_index, codes, scale, place);
  }
}

template <class Config>
FOURGE_INLINE void swiglu_row(uint32 row, const SwigluFactors& factors, const SwigluPlace& place) {
  if constexpr (Config::kMath == MathMode::exact) {
    if (swiglu_guarded<Config>(row, load_swiglu_row(row, place), factors, place)) {
      return;
    }
  }
  swiglu_plainly<Config>(row, load_swiglu_row(row, place), factors, place);
}

// The row of an entry of the map; one that is out of range where there is none.
template <class Config>
FOURGE_INLINE uint32 swiglu_row_of(const int* row_map, int64 entry, int64 entries) {
  if (entry >= entries) {
    return 0xFFFFFFFFu;
  }
  const int mapped = load(row_map + entry);
  if constexpr (Config::kRows == RowSource::inverse) {
    return mapped >= 0 ? static_cast<uint32>(entry) : 0xFFFFFFFFu;
  }
  return static_cast<uint32>(mapped);  // negative: too large
}

template <class Config>
FOURGE_INLINE void moe_swiglu_fp8_block_kernel(const uint8* x, const float* x_scales, uint8* y,
                                               float* y_scales, const int* row_map,
                                               const int* padded_rows, int64 tokens, int64 top_k,
                                               int64 cols, int64 capacity, float limit, float alpha,
                                               float beta) {
  constexpr uint32 kRows = Config::kTokensPerCta;
  constexpr bool kInverse = Config::kRows == RowSource::inverse;
  constexpr bool kGateFirst = Config::kOrder == SwigluOrder::gate_first;
  const uint32 own = blockIdx.x * blockDim.x + threadIdx.x;
  const bool active = own < static_cast<uint32>(cols) / 32;
  const uint32 unit = active ? own : 0;
  const uint32 block = unit / 4;
  const uint32 column = block * 128 + (unit & 3u) * 16;

  SwigluPlace place;
  place.cols = static_cast<uint32>(cols);
  place.row_bytes = kept(2 * place.cols);
  place.linear = kept(x + (kGateFirst ? place.cols + column : column));
  place.gate = kept(x + (kGateFirst ? column : place.cols + column));
  place.y = kept(y + column);
  place.capacity = static_cast<uint32>(capacity);
  place.writes_scale = (unit & 3u) == 0;
  const SwigluFactors factors{limit, alpha, beta};

  wait_for_predecessor<Config>();
  const int given = load(padded_rows);
  place.stride = given >= 0 && given <= capacity ? static_cast<uint32>(given) : 0;
  const uint32 blocks = place.cols / 128;
  const uint64 linear_block = kGateFirst ? blocks + block : block;
  const uint64 gate_block = kGateFirst ? block : blocks + block;
  place.linear_scales = kept(x_scales + linear_block * place.stride);
  place.gate_scales = kept(x_scales + gate_block * place.stride);
  place.y_scales = kept(y_scales + static_cast<uint64>(block) * place.stride);

  const int64 all = kInverse ? capacity : tokens * top_k;
  const int64 entries = active ? all : 0;
  const uint32 rows_of_cta = blockDim.y * kRows;
  for (int64 first = static_cast<int64>(blockIdx.y) * rows_of_cta; first < all;
       first += static_cast<int64>(gridDim.y) * rows_of_cta) {
    // The lanes of a quad look up a row each, for all four.
    const uint32 looked_up = swiglu_row_of<Config>(
        row_map, first + (threadIdx.y * kRows + threadIdx.x % kRows), entries);
    if (kInverse && first >= place.stride) {
      return;  // known late, so that it does not hold up the look-up
    }
#pragma unroll 1
    for (uint32 i = 0; i < kRows; ++i) {
      const uint32 row = kRows == 1 ? looked_up : quad_broadcast_in_warp(looked_up, i);
      // Nothing that depends on the number of rows in use is waited for yet.
      if (__any_sync(0xFFFFFFFFu, row < place.capacity)) {
        swiglu_row<Config>(row, factors, place);
      }
    }
  }
}

}  // namespace fourge_device
