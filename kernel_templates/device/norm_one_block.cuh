// RMSNorm and quantization of a row by a CTA with a thread for each block of 16 elements, which stays in registers: what few
// rows are done by soonest. The bits of norm_row.cuh.
#pragma once

#include "device/lane_sums.cuh"
#include "device/norm_quantize.cuh"

namespace fourge_device {

// All threads of the row call; block_sum: of a thread's block, 0 beyond the row.
FOURGE_INLINE float sum_of_row(FourLaneSums::Storage& storage, uint32 block, float block_sum) {
  const FourLaneSums sums(storage);
  put_shared_float(sums.place(block), block_sum);
  // Lanes that only total() has.
  for (uint32 i = blockDim.x + threadIdx.x; i < (blockDim.x + 127) / 128 * 128; i += blockDim.x) {
    put_shared_float(sums.place(i), 0.0f);
  }
  __syncthreads();
  return sums.total(blockDim.x);
}

// Of a row of so many blocks of 16 elements.
template <class Config>
FOURGE_INLINE uint32 padded_scale_columns(uint32 blocks) {
  constexpr bool kNvfp4 = Config::kFormat() == QuantizedFormat::nvfp4;
  const uint32 columns = kNvfp4 ? blocks : blocks / 2;
  return Config::kLayout() == ScaleLayout::linear ? columns : (columns + 3) & ~3u;
}

template <class Config>
FOURGE_INLINE void quantize_row_of_blocks(const NormOperands& operands, uint8* q, uint8* scales,
                                          float* token_scales, const float* scale,
                                          float scale_value, int64 rows) {
  constexpr ScaleLayout kLayout = Config::kLayout();
  constexpr ElementType kType = Config::kInput();
  constexpr bool kToken = Config::kScaling() == Scaling::token;
  constexpr bool kAdds = Config::kResidual() == Residual::add;
  constexpr bool kRounds = Config::kRounding() == Rounding::rounded;
  __shared__ SharedArray<uint32, 64> scratch;
  __shared__ __align__(16) FourLaneSums::Storage storage;  // read four words at a time
  const int64 index = static_cast<int64>(blockIdx.y) * gridDim.x + blockIdx.x;
  wait_for_predecessor<Config>();
  if (index >= padded_rows<kLayout>(rows)) {
    return;
  }
  const uint32 blocks = static_cast<uint32>(operands.cols) / 16;
  if (kLayout != ScaleLayout::linear && index >= rows) {
    store_zero_scales<Config>(scales, index, padded_scale_columns<Config>(blocks));
    return;
  }
  const uint32 block = threadIdx.x;
  const bool inside = block < blocks;
  const int64 first = index * (blocks * 16);
  const auto load_block = [&](const void* from, int64 element) {
    return load_words8<Config::kLoad256()>(
        advance(static_cast<const char*>(from) + element * 2, block, 32));
  };
  const auto store_block = [&](void* to, const Words8& words) {
    if (inside) {
      store_words(advance(static_cast<char*>(to) + first * 2, block, 32), words.w);
    }
  };
  Words8 h = {};
  Words8 residual = {};
  Words8 weight = {};
  if (inside) {
    h = load_block(operands.x, first);
    if constexpr (kAdds) {
      residual = load_block(operands.residual, first);
    }
    weight = load_block(operands.weight, 0);
  }
  const float given = !kToken && scale != nullptr ? load(scale) : scale_value;
  // Linear ones soon, tiled ones late: with these a thread would have too few registers for what else is on its way.
  constexpr bool kEarly = kLayout == ScaleLayout::linear;
  const auto places_of_thread = [&] {
    return BlockPlaces<Config>(q, first, scales, index, padded_scale_columns<Config>(blocks),
                               static_cast<int>(threadIdx.x & 31u));
  };
  BlockPlaces<Config> places;
  if constexpr (kEarly) {
    places = places_of_thread();
  }
  UnitFactors<Config> factors = given_factors<Config>(kToken ? 1.0f : given);

  float v[16];
  unpack_block<kType>(h, v);
  if constexpr (kAdds) {
    float r[16];
    unpack_block<kType>(residual, r);
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      v[i] = add_rn(v[i], r[i]);
    }
    h = pack_block<kType>(v);
    if constexpr (kRounds) {
      unpack_block<kType>(h, v);
    }
  }
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    sum = fma_rn(v[i], v[i], sum);
  }
  const float inverse = norm_factor(sum_of_row(storage, block, sum), operands.cols, operands.eps);
  if constexpr (kAdds) {
    store_block(operands.residual_out, h);
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const NormPair w = weight_pair<Config>(weight.w[i]);
    v[2 * i] = mul_rn(mul_rn(v[2 * i], inverse), w.low);
    v[2 * i + 1] = mul_rn(mul_rn(v[2 * i + 1], inverse), w.high);
  }
  const Words8 y = pack_block<kType>(v);
  if_seldom(operands.norm_out != nullptr, [&] { store_block(operands.norm_out, y); });
  if constexpr (kToken) {
    float largest = 0.0f;
    if constexpr (kRounds) {
      uint32 bits = block_max_bits<kType>(y.w);
      if (unlikely(bits > Packed16<kType>::kInfinity)) {
        bits = block_max_bits_skip_nan<kType>(y.w);
      }
      largest = value_of_bits<kType>(bits);
    } else {
      largest = block_magnitude(v);
    }
    const uint32 maximum = cta_max_alternating(inside ? float_bits(largest) : 0u, scratch, 0);
    float decode = 0.0f;
    factors = token_factors<Config>(float_from_bits(maximum), given, decode);
    if (threadIdx.x == 0) {
      store(token_scales + index, decode);
    }
  }
  if constexpr (!kEarly) {
    places = places_of_thread();
  }
  QuantizedBlock result;
  if constexpr (kRounds) {
    result = quantize_rounded<Config>(y, factors);
  } else {
    result = quantize_values<Config>(v, factors);
  }
  if (inside) {
    places.store_codes(static_cast<int>(block), result);
  }
  places.store_scale(static_cast<int>(block), inside, result.scale);
}

}  // namespace fourge_device
