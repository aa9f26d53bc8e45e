// moe_swiglu_fp8_block: see fourge/moe_swiglu_fp8_block.hpp for the contract.
//
// A thread takes 16 columns of kTokensPerCta rows, whose loads are all on their way before the first
// is needed; an octet of lanes takes a block of 128. Neither shared memory nor a barrier. Grid x runs
// over the columns, y strides over the groups of entries of the row map.
#pragma once

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
  int64 row;  // negative: none
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

// Quotients by one divisor, correctly rounded as far as the code of an E4M3 number can tell: the
// remainder corrects the product with the reciprocal, and a tiny divisor is scaled up with all that it
// divides. An infinite one makes zeros of finite numbers and NaN of infinities.
struct BlockDivisor {
  float up;
  float scale;
  float reciprocal;

  FOURGE_INLINE explicit BlockDivisor(float divisor) {
    up = divisor < 8.6736174e-19f ? 18446744073709551616.0f : 1.0f;  // 2^-60, 2^64
    const bool infinite = divisor > kFloatMax;
    scale = infinite ? 0.0f : mul_rn(divisor, up);
    reciprocal = infinite ? 0.0f : rcp_rn(scale);
  }
  template <class Config>
  FOURGE_INLINE float divide(float o) const {
    o = mul_rn(o, up);
    const float q = mul_rn(o, reciprocal);
    if constexpr (Config::kMath == MathMode::fast) {
      return q;
    }
    // The remainder's sign is such that -0 stays -0.
    return fma_rn(fma_rn(q, scale, -o), -reciprocal, q);
  }
};

template <class Config>
FOURGE_INLINE void moe_swiglu_fp8_block_kernel(const uint8* x, const float* x_scales, uint8* y,
                                               float* y_scales, const int* row_map,
                                               const int* padded_rows, int64 tokens, int64 top_k,
                                               int64 cols, int64 capacity, float limit, float alpha,
                                               float beta) {
  constexpr int kRows = Config::kTokensPerCta;
  constexpr bool kInverse = Config::kRows == RowSource::inverse;
  constexpr float kLeastScale = 1.17549435e-38f;  // 2^-126
  const int64 units = cols / 16;
  const int64 unit = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (unit >= units) {
    return;  // whole octets
  }

  wait_for_predecessor<Config>();
  const SwigluFactors factors{limit, alpha, beta};
  const int64 given = load(padded_rows);
  const int64 stride = given <= capacity ? given : 0;
  const int64 entries = kInverse ? stride : tokens * top_k;
  const int lane = static_cast<int>(threadIdx.x & 7u);
  const int64 block = unit / 8;
  // Where a row's gate lies, from its start: in units of codes and of scales.
  constexpr bool kGateFirst = Config::kOrder == SwigluOrder::gate_first;
  const int64 linear_unit = kGateFirst ? units + unit : unit;
  const int64 gate_unit = kGateFirst ? unit : units + unit;
  const float* const linear_scales = x_scales + linear_unit / 8 * stride;
  const float* const gate_scales = x_scales + gate_unit / 8 * stride;

  for (int64 first = static_cast<int64>(blockIdx.y) * kRows; first < entries;
       first += static_cast<int64>(gridDim.y) * kRows) {
    SwigluRow rows[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      rows[i].row = -1;
      if (first + i < entries) {
        const int64 mapped = load(row_map + first + i);
        rows[i].row = kInverse && mapped >= 0 ? first + i : mapped;
      }
      if (rows[i].row >= stride) {
        rows[i].row = -1;
      }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      rows[i].linear = {};
      rows[i].gate = {};
      rows[i].linear_scale = 0.0f;
      rows[i].gate_scale = 0.0f;
      if (rows[i].row >= 0) {
        const uint8* const from = x + rows[i].row * 2 * cols;
        rows[i].linear = load_words4(from + linear_unit * 16);
        rows[i].gate = load_words4(from + gate_unit * 16);
        rows[i].linear_scale = load(linear_scales + rows[i].row);
        rows[i].gate_scale = load(gate_scales + rows[i].row);
      }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (rows[i].row < 0) {
        continue;  // the whole octet, and no other lane waits for it
      }
      float o[16] = {};
      swiglu_values<Config>(rows[i], factors, o);
      float largest = 0.0f;  // a NaN is skipped
#pragma unroll
      for (int k = 0; k < 16; ++k) {
        largest = max_num(largest, absolute(o[k]));
      }
      const float amax = float_from_bits(octet_max(float_bits(largest)));
      const float scale = max_num(divide_by_448(amax), kLeastScale);
      const BlockDivisor divisor(scale);
      uint32 codes[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const float* v = o + 4 * k;
        codes[k] =
            encode_e4m3_pair<Config>(divisor.divide<Config>(v[0]), divisor.divide<Config>(v[1])) |
            (encode_e4m3_pair<Config>(divisor.divide<Config>(v[2]), divisor.divide<Config>(v[3]))
             << 16);
      }
      store_words(y + rows[i].row * cols + unit * 16, codes);
      if (lane == i) {
        store(y_scales + block * stride + rows[i].row, scale);
      }
    }
  }
}

}  // namespace fourge_device
