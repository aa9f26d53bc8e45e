// fp8_quantize_1x128: see fourge/fp8_quantize.hpp for the contract.
//
// A thread takes 16 elements of each of kTokensPerCta rows, an octet of lanes a block of 128 of each.
// Lane i of an octet computes the scale of the i-th row's block for all. Grid x runs over the columns,
// y strides over the groups of rows. With kTokensPerCta of 1 and whole blocks, whose scales lie in the order of the
// blocks, rows do not matter, and a thread's addresses take few instructions: all is one flat range, of which few blocks
// get a warp each. Otherwise y and z run over the rows.
#pragma once

#include "device/e4m3_words.cuh"
#include "device/fp8_block.cuh"
#include "device/octet.cuh"
#include "device/reduce.cuh"
#include "device/store_words.cuh"
#include "device/words_max.cuh"

namespace fourge_device {

enum : int { kFlatThreads = 128 };  // the launch rule has the same
enum : int { kFewThreads = 256 };   // and this: launches with so many take few blocks
enum : int { kUnits = 8 };          // of 16 elements, in a block

// A warp a block: the shortest way from a load to its codes, for calls that leave most warps' places free.
template <class Config>
FOURGE_INLINE void quantize_few_blocks(const void* x, uint8* data, float* scales, uint32 blocks,
                                       float eps) {
  const uint32 thread = blockIdx.x * kFewThreads + threadIdx.x;
  const uint32 block = thread / 32;
  wait_for_predecessor<Config>();
  if (block >= blocks) {
    return;
  }
  const uint64 four = load(static_cast<const uint64*>(x) + thread);
  const uint32 a = static_cast<uint32>(four);
  const uint32 b = static_cast<uint32>(four >> 32);
  using P = Packed16<Config::kInput()>;
  const float v[4] = {P::low(a), P::high(a), P::low(b), P::high(b)};
  // A maximum of numbers skips NaN, if one is there.
  const float largest = max_num(
      max_num(max_num(absolute(v[0]), absolute(v[1])), max_num(absolute(v[2]), absolute(v[3]))),
      0.0f);
  const auto factors = fp8_factors<Config>(float_from_bits(warp_max(float_bits(largest))), eps);
  const float o = factors.reciprocal;
  store(reinterpret_cast<uint32*>(data) + thread,
        encode_e4m3x4<Config>(mul_rn(v[0], o), mul_rn(v[1], o), mul_rn(v[2], o), mul_rn(v[3], o)));
  if (threadIdx.x % 32 == 0) {
    store(scales + block, factors.scale);
  }
}

template <class Config>
FOURGE_INLINE void quantize_single_units(const void* x, uint8* data, float* scales, int64 rows,
                                         int64 cols, float eps) {
  constexpr Fp8Storage kStorage = Config::kStorage();
  int64 unit;  // among all of x
  float* scale_to;
  bool exists = true;
  bool padding = false;
  if constexpr (kStorage == Fp8Storage::row_major) {
    const bool few = blockDim.x == kFewThreads;
    if_here(few, [&] {
      quantize_few_blocks<Config>(x, data, scales,
                                  static_cast<uint32>(rows) * static_cast<uint32>(cols >> 7), eps);
    });
    if (few) {
      return;
    }
  }
  if (kStorage == Fp8Storage::row_major && cols % (16 * kUnits) == 0) {
    const uint64 cta = static_cast<uint64>(blockIdx.y) * gridDim.x + blockIdx.x;
    unit = static_cast<int64>(cta * kFlatThreads) + threadIdx.x;
    if (unit >= rows * static_cast<int64>(static_cast<uint64>(cols) / 16)) {
      return;  // whole octets
    }
    scale_to = scales + static_cast<uint64>(unit) / kUnits;
  } else {
    const int64 units = cols / 16;
    const int64 columns = (units + (kUnits - 1)) / kUnits;
    const int64 all_rows = fp8_scale_rows<kStorage>(rows);
    const int64 row = static_cast<int64>(blockIdx.z) * gridDim.y + blockIdx.y;
    const int64 of_row = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (of_row >= columns * kUnits || row >= all_rows) {
      return;  // whole octets
    }
    unit = row * units + of_row;
    padding = row >= rows;
    exists = of_row < units && !padding;
    scale_to = scales + fp8_scale_offset<kStorage>(row, all_rows, of_row / kUnits, columns);
  }
  wait_for_predecessor<Config>();
  Words8 block[1] = {};
  if (exists) {
    block[0] = load_words8<Config::kLoad256()>(static_cast<const char*>(x) + unit * 32);
  }
  const uint32 max_bits = octet_max(maximum_of<Config::kInput()>(block).bits);
  const auto factors = fp8_factors<Config>(value_of_bits<Config::kInput()>(max_bits), eps);
  if (exists) {
    uint32 codes[4];
    encode_e4m3x16<Config, E4m3Nan::nan>(block[0], factors.reciprocal, codes);
    store_words(data + unit * 16, codes);
  }
  if (threadIdx.x % kUnits == 0) {
    store(scale_to, padding ? 0.0f : factors.scale);
  }
}

template <class Config>
FOURGE_INLINE void quantize_unit_groups(const void* x, uint8* data, float* scales, int64 rows,
                                        int64 cols, float eps) {
  constexpr int kRows = Config::kTokensPerCta();
  constexpr Fp8Storage kStorage = Config::kStorage();
  const int64 units = cols / 16;
  const int64 columns = (units + (kUnits - 1)) / kUnits;
  const int64 unit = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (unit >= columns * kUnits) {
    return;  // whole octets
  }

  wait_for_predecessor<Config>();
  const int lane = static_cast<int>(threadIdx.x % kUnits);
  const int64 all_rows = fp8_scale_rows<kStorage>(rows);
  const int64 groups = (all_rows + kRows - 1) / kRows;
  for (int64 group = blockIdx.y; group < groups; group += gridDim.y) {
    const int64 first = group * kRows;
    Words8 block[kRows][1];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      block[i][0] = Words8{};
      if (unit < units && first + i < rows) {
        block[i][0] = load_words8<Config::kLoad256()>(static_cast<const char*>(x) +
                                                      ((first + i) * units + unit) * 32);
      }
    }
    uint32 max_bits = 0;
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const uint32 of_row = octet_max(maximum_of<Config::kInput()>(block[i]).bits);
      max_bits = lane % kRows == i ? of_row : max_bits;
    }
    const auto factors = fp8_factors<Config>(value_of_bits<Config::kInput()>(max_bits), eps);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const float reciprocal = octet_broadcast(factors.reciprocal, i);
      if (unit < units && first + i < rows) {
        uint32 codes[4];
        encode_e4m3x16<Config, E4m3Nan::nan>(block[i][0], reciprocal, codes);
        store_words(data + ((first + i) * units + unit) * 16, codes);
      }
    }
    if (lane < kRows && first + lane < all_rows) {
      store(scales + fp8_scale_offset<kStorage>(first + lane, all_rows, unit / kUnits, columns),
            first + lane < rows ? factors.scale : 0.0f);
    }
  }
}

template <class Config>
FOURGE_INLINE void fp8_quantize_1x128_kernel(const void* x, uint8* data, float* scales, int64 rows,
                                             int64 cols, float eps) {
  if constexpr (Config::kTokensPerCta() == 1) {
    quantize_single_units<Config>(x, data, scales, rows, cols, eps);
  } else {
    quantize_unit_groups<Config>(x, data, scales, rows, cols, eps);
  }
}

}  // namespace fourge_device
