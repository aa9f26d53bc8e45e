// nvfp4_quantize: see fourge/nvfp4_quantize.hpp for the contract.
//
// A CTA takes a group of kTokensPerCta rows at a time; a thread takes the same block column of
// each, so that its loads are independent of one another. Grid x runs over the columns, y strides
// over the groups, z over the batches. Tiled layouts have a multiple of kTokensPerCta rows, so no
// group reaches past them.
#pragma once

#include "device/global_memory.cuh"
#include "device/nvfp4_e4m3_block.cuh"
#include "device/scale_layout.cuh"

namespace fourge_device {

// How a block lies in memory, and what its quantization needs besides.
template <class Config, bool kEightBits = Config::kInput == ElementType::e4m3>
struct Nvfp4Source {
  using Block = Words8;
  using Factors = Nvfp4Factors<Config>;
  static FOURGE_INLINE Block read(const void* x, int64 index) {
    return load_words8<Config::kLoad256>(static_cast<const char*>(x) + index * 32);
  }
};
template <class Config>
struct Nvfp4Source<Config, true> {
  using Block = Words4;
  using Factors = Nvfp4E4m3Factors<Config>;
  static FOURGE_INLINE Block read(const void* x, int64 index) {
    return load_words4(static_cast<const char*>(x) + index * 16);
  }
};

// Factors of each row: the tensor's, or made from the row's own scale.
template <class Config>
struct Nvfp4RowFactors {
  using Factors = typename Nvfp4Source<Config>::Factors;
  static constexpr bool kPerRow =
      Config::kScaleMode == ScaleMode::row || Config::kScaleMode == ScaleMode::row_inv;
  static constexpr bool kInverse =
      Config::kScaleMode == ScaleMode::tensor_inv || Config::kScaleMode == ScaleMode::row_inv;

  const float* scales;
  Factors tensor;

  FOURGE_INLINE Nvfp4RowFactors(const float* global_scale, float value)
      : scales(global_scale),
        tensor(encode_scale(kPerRow || global_scale == nullptr ? value : load(global_scale))) {}

  FOURGE_INLINE Factors of_row(int64 row) const {
    if constexpr (kPerRow) {
      return Factors(encode_scale(load(scales + row)));
    } else {
      return tensor;
    }
  }

  static FOURGE_INLINE float encode_scale(float given) {
    return kInverse ? reciprocal<Config>(given) : given;
  }
};

FOURGE_INLINE void store_codes(uint8* codes, int64 index, const Nvfp4Block& block) {
  store(reinterpret_cast<uint64*>(codes) + index,
        block.codes[0] | (static_cast<uint64>(block.codes[1]) << 32));
}

template <class Config>
FOURGE_INLINE void nvfp4_quantize_kernel(const void* x, uint8* codes, uint8* scales,
                                         const float* global_scale, float global_scale_value,
                                         int64 rows, int64 cols, int64 batches) {
  using Source = Nvfp4Source<Config>;
  constexpr int kRows = Config::kTokensPerCta;
  constexpr ScaleLayout kLayout = Config::kLayout;
  constexpr int64 kDistance = kRowDistance<kLayout>;
  const int64 columns = cols / 16;
  const int64 all_columns = padded_columns<kLayout>(columns);
  const int64 column = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= all_columns) {
    return;
  }

  wait_for_predecessor<Config>();
  const Nvfp4RowFactors<Config> factors(global_scale, global_scale_value);
  const bool real_column = column < columns;
  const int64 groups = (padded_rows<kLayout>(rows) + kRows - 1) / kRows;
  // One loop over both, so that what follows from the batch is not kept across the groups.
  int64 batch = blockIdx.z;
  int64 group = blockIdx.y;
  while (group < groups && batch < batches) {
    const int64 first_block = batch * rows * columns + column;
    const int64 first = first_row_of_group<kLayout, kRows>(group);
    uint32 scale_bytes = 0;
    if constexpr (Config::kFourOverSix == FourOverSix::off) {
      typename Source::Block block[kRows];
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        const int64 row = first + i * kDistance;
        block[i] = {};
        if (real_column && row < rows) {
          block[i] = Source::read(x, first_block + row * columns);
        }
      }
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        const int64 row = first + i * kDistance;
        if (real_column && row < rows) {
          const Nvfp4Block result = quantize_nvfp4_block<Config>(block[i], factors.of_row(row));
          store_codes(codes, first_block + row * columns, result);
          scale_bytes |= result.scale << (8 * i);
        }
      }
    } else {
      // Much code for a block: one copy of it, with the next block on its way.
      typename Source::Block next = {};
      if (real_column && first < rows) {
        next = Source::read(x, first_block + first * columns);
      }
#pragma unroll 1
      for (int i = 0; i < kRows; ++i) {
        const int64 row = first + i * kDistance;
        const typename Source::Block block = next;
        if (i + 1 < kRows && real_column && row + kDistance < rows) {
          next = Source::read(x, first_block + (row + kDistance) * columns);
        }
        if (real_column && row < rows) {
          const Nvfp4Block result = quantize_nvfp4_block<Config>(block, factors.of_row(row));
          store_codes(codes, first_block + row * columns, result);
          scale_bytes |= result.scale << (8 * i);
        }
      }
    }
    uint8* const batch_scales = scales + batch * padded_rows<kLayout>(rows) * all_columns;
    store_scales<kLayout, kRows>(batch_scales, scale_bytes, first, rows, column, all_columns);
    group += gridDim.y;
    if (group >= groups) {
      group = blockIdx.y;
      batch += gridDim.z;
    }
  }
}

}  // namespace fourge_device
