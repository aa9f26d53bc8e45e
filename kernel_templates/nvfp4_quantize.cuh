// nvfp4_quantize: see fourge/nvfp4_quantize.hpp for the contract.
//
// A thread takes kTokensPerCta blocks, whose loads are independent of one another. Linear block scales
// with one scale for the tensor: neither rows nor batches matter; the blocks are blockDim.x apart in memory
// and grid x (and y, beyond 2^30 CTAs) covers all. Otherwise they are one block column of a group of rows: grid x runs over the
// columns, y over the groups, z over the batches. Tiled layouts have a multiple of kTokensPerCta rows, so
// no group reaches past them.
//
// x is on its way before the global scale is loaded.
#pragma once

#include "device/global_memory.cuh"
#include "device/nvfp4_e4m3_block.cuh"
#include "device/row_threads.cuh"
#include "device/scale_layout.cuh"
#include "device/shared_array.cuh"

namespace fourge_device {

// How a block lies in memory, and what its quantization needs besides.
template <class Config, bool kEightBits = Config::kInput() == ElementType::e4m3>
struct Nvfp4Source {
  using Block = Words8;
  enum : int { kBytes = 32 };
  using Factors = Nvfp4Factors<Config>;
  static FOURGE_INLINE Block read(const void* x, int64 index) {
    return load_words8<Config::kLoad256()>(static_cast<const char*>(x) + index * kBytes);
  }
};
template <class Config>
struct Nvfp4Source<Config, true> {
  using Block = Words4;
  enum : int { kBytes = 16 };
  using Factors = Nvfp4E4m3Factors<Config>;
  static FOURGE_INLINE Block read(const void* x, int64 index) {
    return load_words4(static_cast<const char*>(x) + index * kBytes);
  }
};

// Factors of each row: the tensor's, or made from the row's own scale.
template <class Config>
struct Nvfp4RowFactors {
  using Factors = typename Nvfp4Source<Config>::Factors;
  enum : bool {
    kPerRow = Config::kScaleMode() == ScaleMode::row || Config::kScaleMode() == ScaleMode::row_inv
  };
  enum : bool {
    kInverse =
        Config::kScaleMode() == ScaleMode::tensor_inv || Config::kScaleMode() == ScaleMode::row_inv
  };

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

enum : uint32 { kThreads = 64 };  // in a CTA

// A thread's blocks, one after another: first_block + i * distance, while exists(i). With 4over6 there is
// much code for a block, so one copy of it, with the next block on its way. Returns the scales, the i-th in
// byte i.
template <class Config, class Load, class Factors, class FactorsOf, class Exists, class Store>
FOURGE_INLINE uint32 quantize_thread_blocks(const Load& load_block, const Factors& load_factors,
                                            const FactorsOf& factors_of, const Exists& exists,
                                            const Store& store_block) {
  constexpr int kCount = Config::kTokensPerCta();
  using Block = typename Nvfp4Source<Config>::Block;
  const auto put = [&](int i, const Nvfp4Block& block) {
    if (!exists(i)) {
      return 0u;
    }
    store_block(i, block);
    return block.scale;
  };
  if constexpr (Config::kFourOverSix() == FourOverSix::off) {
    Block block[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      block[i] = {};
      if (exists(i)) {
        block[i] = load_block(i);
      }
    }
    const auto factors = load_factors();
    if constexpr (Config::kInput() == ElementType::e4m3) {
      uint32 scales = 0;
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        scales |= put(i, quantize_nvfp4_block<Config>(block[i], factors_of(factors, i))) << (8 * i);
      }
      return scales;
    } else {
      return quantize_nvfp4_blocks<Config>(
          block, [&](int i) { return factors_of(factors, i); }, put);
    }
  } else {
    Block next = {};
    if (exists(0)) {
      next = load_block(0);
    }
    const auto factors = load_factors();
    uint32 scales = 0;
#pragma unroll 1
    for (int i = 0; i < kCount; ++i) {
      const Block block = next;
      if (i + 1 < kCount && exists(i + 1)) {
        next = load_block(i + 1);
      }
      scales |= put(i, quantize_nvfp4_block<Config>(block, factors_of(factors, i))) << (8 * i);
    }
    return scales;
  }
}

// Threads of a CTA of the flat range; the launch rule has the same. With one block each 128 take up to 3% less time than
// 64; with more blocks, or 4over6, up to 3% less for few rows and up to 2% more for many.
template <class Config>
inline constexpr uint32 kFlatThreads =
    Config::kTokensPerCta() == 1 && Config::kFourOverSix() == FourOverSix::off ? 128 : kThreads;

template <class Config>
FOURGE_INLINE void nvfp4_quantize_flat(const void* x, uint8* codes, uint8* scales,
                                       const float* global_scale, float global_scale_value,
                                       int64 blocks) {
  const int64 cta = static_cast<int64>(static_cast<uint64>(blockIdx.y) * gridDim.x + blockIdx.x);
  constexpr uint32 kFlat = kFlatThreads<Config>;
  const int64 first = cta * (kFlat * Config::kTokensPerCta()) + threadIdx.x;
  const auto at = [&](int i) { return first + i * static_cast<int64>(kFlat); };
  const auto exists = [&](int i) { return at(i) < blocks; };
  quantize_thread_blocks<Config>(
      [&](int i) { return Nvfp4Source<Config>::read(x, at(i)); },
      [&] { return Nvfp4RowFactors<Config>(global_scale, global_scale_value); },
      [](const Nvfp4RowFactors<Config>& factors, int) { return factors.tensor; }, exists,
      [&](int i, const Nvfp4Block& block) {
        store_codes(codes, at(i), block);
        store(scales + at(i), static_cast<uint8>(block.scale));
      });
}

// With 4over6 and several rows, 32 apart, registers are short.
template <class Config>
inline constexpr bool kParks = (Config::kFourOverSix() != FourOverSix::off) &&
                               (Config::kTokensPerCta() > 1) &&
                               (Config::kLayout() == ScaleLayout::tiled_128x4) &&
                               !Nvfp4RowFactors<Config>::kPerRow;

// What a thread does not need while it quantizes a block waits in shared memory.
struct Parked {
  using Places = SharedArray<uint64, kThreads>;
  Places& place;

  FOURGE_INLINE Parked(Places& given, uint64 value) : place(given) {
    place.set(static_cast<int>(threadIdx.x), value);
  }
  FOURGE_INLINE uint64 get() const { return place.get(static_cast<int>(kept(threadIdx.x))); }
};

// count blocks, from one on and each `step` further, of a column; there may be none. Their scales: the i-th in byte i.
template <class Config>
FOURGE_INLINE uint32 quantize_column(const void* x, uint8* codes, int64 block, const Parked& step,
                                     int count, const float* global_scale,
                                     float global_scale_value) {
  using Source = Nvfp4Source<Config>;
  if (count <= 0) {
    return 0;
  }
  typename Source::Block next = Source::read(x, block);
  const Nvfp4RowFactors<Config> factors(global_scale, global_scale_value);
  uint32 scales = 0;
  int left = count;
#pragma unroll 1
  while (true) {
    const typename Source::Block present = next;
    if (left > 1) {
      next = Source::read(x, block + static_cast<int64>(step.get()));
    }
    const Nvfp4Block result = quantize_nvfp4_block<Config>(present, factors.tensor);
    store_codes(codes, block, result);
    scales = scales >> 8 | result.scale << 24;
    if (--left == 0) {
      break;
    }
    block += static_cast<int64>(step.get());
  }
  return scales >> (32 - 8 * count);
}

// What a CTA has of a call with more than one batch, or more groups of rows than grid y has: z is the batch, or the
// slice of gridDim.y groups of one batch; where these are too many for z, x goes round. Without divisions, since
// their code would lie in every call's way.
struct RowSlice {
  uint32 chunk;
  int64 batch;
  int64 first;  // row of the slice
};
FOURGE_INLINE RowSlice row_slice(uint32 chunk, uint32 chunks, uint32 group_rows, int64 all_rows) {
  const int64 slice_rows = static_cast<int64>(gridDim.y * group_rows);
  const bool sliced = slice_rows < all_rows;
  const int64 end = sliced ? all_rows : 0;  // of a batch in rounds
  const uint32 batches_a_round = sliced ? 1 : gridDim.z;
  RowSlice slice{chunk, sliced ? 0 : blockIdx.z, 0};
#pragma unroll 1
  for (; slice.chunk >= chunks; slice.chunk -= chunks) {
    slice.first += slice_rows * gridDim.z;
    if (slice.first >= end) {
      slice.first = 0;
      slice.batch += batches_a_round;
    }
  }
  slice.first += sliced ? slice_rows * blockIdx.z : 0;
  return slice;
}

// The launch rule has the same.
template <class Config>
inline constexpr bool kByTiles =
    (Config::kLayout() != ScaleLayout::linear) && Config::kTokensPerCta() == 1 &&
    Config::kFourOverSix() == FourOverSix::off;
template <class Config, bool = kByTiles<Config>>
struct ThreadsOf {
  using Type = RowThreads<Config::kLayout(), Config::kTokensPerCta(), kThreads>;
};
template <class Config>
struct ThreadsOf<Config, true> {
  using Type = TileThreads<Config::kLayout(), kThreads>;
};

template <class Config>
FOURGE_INLINE void nvfp4_quantize_rows(const void* x, uint8* codes, uint8* scales,
                                       const float* global_scale, float global_scale_value,
                                       int64 rows, int64 cols, int64 batches) {
  constexpr ScaleLayout kLayout = Config::kLayout();
  using Threads = typename ThreadsOf<Config>::Type;
  constexpr int kDistance = Threads::kDistance;
  const uint32 columns = static_cast<uint32>(cols >> 4);
  const uint32 all_columns = static_cast<uint32>(padded_columns<kLayout>(columns));
  uint32 chunk = blockIdx.x;
  int64 first = Threads::first_row(blockIdx.y);  // in its batch
  int64 first_of_all = first;                    // among x's rows
  int64 first_scales = first;                    // among the scales' rows
  if (unlikely(gridDim.z > 1)) {
    const RowSlice slice =
        row_slice(chunk, (all_columns + (Threads::kColumns - 1)) / Threads::kColumns,
                  Threads::kGroupRows, padded_rows<kLayout>(rows));
    chunk = slice.chunk;
    first += slice.first;
    if (slice.batch >= batches || first >= padded_rows<kLayout>(rows)) {
      return;
    }
    first_of_all = first + slice.batch * rows;
    first_scales = first + slice.batch * padded_rows<kLayout>(rows);
  }
  const uint32 column = chunk * Threads::kColumns + Threads::column();
  if (column >= all_columns) {
    return;
  }
  const int64 rows_left = column < columns ? rows - first : 0;
  typename Threads::Place place(scales, first_scales, column, all_columns);
  const int64 first_block = first_of_all * columns + column;
  if constexpr (kParks<Config>) {
    const int64 left = (rows_left + kDistance - 1) / kDistance;
    const int count =
        static_cast<int>(left < Config::kTokensPerCta() ? left : Config::kTokensPerCta());
    __shared__ Parked::Places addresses;
    __shared__ Parked::Places steps;
    const Parked address(addresses, reinterpret_cast<uint64>(place.address));
    const Parked step(steps, static_cast<uint64>(columns) * kDistance);
    const uint32 bytes = quantize_column<Config>(x, codes, first_block, step, count, global_scale,
                                                 global_scale_value);
    place.address = reinterpret_cast<uint8*>(address.get());
    place.store_bytes(bytes, rows - first);
    return;
  }
  const auto at = [&](int i) {
    return first_block + i * (kDistance * static_cast<int64>(columns));
  };
  const auto exists = [&](int i) { return i * kDistance < rows_left; };
  const uint32 scale_bytes = quantize_thread_blocks<Config>(
      [&](int i) { return Nvfp4Source<Config>::read(x, at(i)); },
      [&] { return Nvfp4RowFactors<Config>(global_scale, global_scale_value); },
      [&](const Nvfp4RowFactors<Config>& factors, int i) {
        const int64 row = first + i * kDistance;
        return factors.of_row(row < rows ? row : rows - 1);
      },
      exists, [&](int i, const Nvfp4Block& block) { store_codes(codes, at(i), block); });
  place.store_bytes(scale_bytes, rows - first);
}

template <class Config>
FOURGE_INLINE void nvfp4_quantize_kernel(const void* x, uint8* codes, uint8* scales,
                                         const float* global_scale, float global_scale_value,
                                         int64 rows, int64 cols, int64 batches) {
  wait_for_predecessor<Config>();
  if constexpr (Config::kLayout() == ScaleLayout::linear && !Nvfp4RowFactors<Config>::kPerRow) {
    nvfp4_quantize_flat<Config>(x, codes, scales, global_scale, global_scale_value,
                                batches * rows * (cols / 16));
  } else {
    nvfp4_quantize_rows<Config>(x, codes, scales, global_scale, global_scale_value, rows, cols,
                                batches);
  }
}

}  // namespace fourge_device
