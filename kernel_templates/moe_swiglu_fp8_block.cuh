// moe_swiglu_fp8_block: see fourge/moe_swiglu_fp8_block.hpp for the contract.
//
// A thread takes 16 columns of kTokensPerCta rows, one after another, and the next row's loads are on
// their way while it works on one; an octet of lanes takes a block of 128. Neither shared memory nor a
// barrier. Grid x runs over the columns, y strides over the groups of entries of the row map. All lanes
// of a warp work on one row and stay together; those beyond the columns only do not store.
#pragma once

#include "device/block_quotient.cuh"
#include "device/e4m3_decode.cuh"
#include "device/fp8_block.cuh"
#include "device/global_memory.cuh"
#include "device/octet.cuh"
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

// One row's share of a thread.
struct SwigluRow {
  Words4 linear;
  Words4 gate;
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

// Whether no gate can leave the range of a bounded swish(), whatever its code: it is at most 448.
template <class Config>
FOURGE_INLINE bool swiglu_is_bounded(float gate_scale, const SwigluFactors& factors) {
  float largest = mul_rn(absolute(gate_scale), 448.0f);
  if constexpr (Config::kForm == SwigluForm::clamped) {
    const float slope = absolute(factors.alpha);
    largest = slope <= 32.0f ? mul_rn(slope, largest) : kFloatMax;
  }
  return largest <= kBoundedSwish;
}

template <class Config, bool kBounded>
FOURGE_INLINE void swiglu_word(uint32 linear, uint32 gate, const SwigluRow& row,
                               const SwigluFactors& factors, float* out) {
  const Floats4 l = decode_e4m3x4<Config>(linear);
  const Floats4 g = decode_e4m3x4<Config>(gate);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    out[i] = swiglu<Config, kBounded>(mul_rn(row.linear_scale, l.v[i]),
                                      mul_rn(row.gate_scale, g.v[i]), factors);
  }
}

template <class Config>
FOURGE_INLINE void swiglu_values(const SwigluRow& row, const SwigluFactors& factors,
                                 float (&o)[16]) {
  if constexpr (Config::kMath == MathMode::fast) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      swiglu_word<Config, false>(row.linear.w[i], row.gate.w[i], row, factors, o + 4 * i);
    }
  } else if (swiglu_is_bounded<Config>(row.gate_scale, factors)) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      swiglu_word<Config, true>(row.linear.w[i], row.gate.w[i], row, factors, o + 4 * i);
    }
  } else {
    // Rare, so one copy of it: words and results move through the first place.
    Words4 linear = row.linear;
    Words4 gate = row.gate;
#pragma unroll 1
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int k = 0; k < 12; ++k) {
        o[k] = o[k + 4];
      }
      swiglu_word<Config, false>(linear.w[0], gate.w[0], row, factors, o + 12);
#pragma unroll
      for (int k = 0; k < 3; ++k) {
        linear.w[k] = linear.w[k + 1];
        gate.w[k] = gate.w[k + 1];
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
  uint32 lane;  // of the octet; 8 for a lane beyond the columns
};

// A row that is not in use gives zeros. What depends on the number of rows in use is loaded last, so
// that the first of a CTA's rows need not wait for that number.
FOURGE_INLINE SwigluRow load_swiglu_row(uint32 row, const SwigluPlace& place) {
  SwigluRow data{};
  if (row < place.capacity) {
    data.linear = load_words4(advance(place.linear, row, place.row_bytes));
    data.gate = load_words4(advance(place.gate, row, place.row_bytes));
    if (row < place.stride) {
      data.linear_scale = load(advance(place.linear_scales, row, 4));
      data.gate_scale = load(advance(place.gate_scales, row, 4));
    }
  }
  return data;
}

template <class Config>
FOURGE_INLINE void swiglu_row(uint32 row, const SwigluRow& data, uint32 storing_lane,
                              const SwigluFactors& factors, const SwigluPlace& place) {
  if (row >= place.stride) {
    return;  // the whole warp
  }
  constexpr float kLeastScale = 1.17549435e-38f;  // 2^-126
  float o[16] = {};
  swiglu_values<Config>(data, factors, o);
  float largest[4];  // a NaN is skipped
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    largest[k] = max_num(max_num(absolute(o[k]), absolute(o[k + 4])),
                         max_num(absolute(o[k + 8]), absolute(o[k + 12])));
  }
  const float of_thread =
      max_num(max_num(max_num(largest[0], largest[1]), largest[2]), max_num(largest[3], 0.0f));
  const float amax = float_from_bits(octet_max_of_warp(float_bits(of_thread)));
  uint32 codes[4];
  float scale;
  if (is_plain_maximum(amax)) {
    scale = divide_by_constant(amax, 448.0f, 0.0022321429569274187f);
    encode_quotients<Config>(o, PlainDivisor<Config::kMath>(scale), codes);
  } else {
    scale = max_num(divide_by_448(amax), kLeastScale);
    encode_quotients<Config>(o, AnyDivisor(scale), codes);
  }
  if (place.lane < 8) {
    store_words(advance(place.y, row, place.cols), codes);
    if (place.lane == storing_lane) {
      store(advance(place.y_scales, row, 4), scale);
    }
  }
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
  constexpr int kRows = Config::kTokensPerCta;
  constexpr bool kInverse = Config::kRows == RowSource::inverse;
  constexpr bool kGateFirst = Config::kOrder == SwigluOrder::gate_first;
  const uint32 units = static_cast<uint32>(cols) / 16;
  const uint32 own = blockIdx.x * blockDim.x + threadIdx.x;

  SwigluPlace place;
  const bool active = own < units;
  const uint32 unit = active ? own : 0;
  const uint32 linear_unit = kGateFirst ? units + unit : unit;
  const uint32 gate_unit = kGateFirst ? unit : units + unit;
  place.linear = kept(x + linear_unit * 16);
  place.gate = kept(x + gate_unit * 16);
  place.y = kept(y + unit * 16);
  place.cols = static_cast<uint32>(cols);
  place.row_bytes = kept(2 * place.cols);
  place.capacity = static_cast<uint32>(capacity);
  place.lane = kept(active ? threadIdx.x & 7u : 8u);
  const SwigluFactors factors{limit, alpha, beta};

  wait_for_predecessor<Config>();
  const int given = load(padded_rows);
  place.stride = given >= 0 && given <= capacity ? static_cast<uint32>(given) : 0;
  const int64 entries = kInverse ? place.stride : tokens * top_k;
  place.linear_scales = kept(x_scales + static_cast<uint64>(linear_unit / 8) * place.stride);
  place.gate_scales = kept(x_scales + static_cast<uint64>(gate_unit / 8) * place.stride);
  place.y_scales = kept(y_scales + static_cast<uint64>(unit / 8) * place.stride);

  for (int64 first = static_cast<int64>(blockIdx.y) * kRows; first < entries;
       first += static_cast<int64>(gridDim.y) * kRows) {
    uint32 row[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      row[i] = swiglu_row_of<Config>(row_map, first + i, entries);
    }
    SwigluRow even = load_swiglu_row(row[0], place);
    if constexpr (kRows == 1) {
      swiglu_row<Config>(row[0], even, 0, factors, place);
    } else {
      // Two copies of the work, whatever the number of rows.
#pragma unroll 1
      for (uint32 i = 0; i < kRows; i += 2) {
        const SwigluRow odd = load_swiglu_row(row[1], place);
        swiglu_row<Config>(row[0], even, i, factors, place);
        if constexpr (kRows > 2) {
          const uint32 done = row[1];
          if (i + 2 < kRows) {
            even = load_swiglu_row(row[2], place);
          }
          swiglu_row<Config>(done, odd, i + 1, factors, place);
          row[0] = row[2];
          row[1] = row[3];
        } else {
          swiglu_row<Config>(row[1], odd, i + 1, factors, place);
        }
      }
    }
  }
}

}  // namespace fourge_device
