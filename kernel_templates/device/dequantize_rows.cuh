// Rows of quantized blocks back to floats, for any element format and scale.
//
// A thread takes eight elements of each of kTokensPerCta rows, so that loads and stores of neighbouring
// lanes are neighbours in memory. Grid x runs over the columns, y strides over the groups of rows, z
// over the batches.
#pragma once

#include "device/convert16.cuh"
#include "device/scale_layout.cuh"
#include "device/store_words.cuh"

namespace fourge_device {

struct RowsShape {
  int64 rows;
  int64 cols;
  int64 padded_cols;  // of codes and scales
  int64 batches;
};

template <ElementType kType>
FOURGE_INLINE void store_floats(void* out, int64 unit, const float (&values)[8]) {
  if constexpr (kType == ElementType::f32) {
    uint32 words[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      words[i] = float_bits(values[i]);
    }
    store_words(static_cast<char*>(out) + unit * 32, words);
  } else {
    uint32 words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      words[i] = pack_pair<kType>(values[2 * i], values[2 * i + 1]);
    }
    store_words(static_cast<char*>(out) + unit * 16, words);
  }
}

// Groups that have a row; in 128x4, groups interleave within kRows times 32 rows.
template <ScaleLayout kLayout, int kRows>
FOURGE_INLINE int64 groups_of_rows(int64 rows) {
  if constexpr (kLayout == ScaleLayout::tiled_128x4) {
    constexpr int64 kSpan = 32 * kRows;
    const int64 rest = rows % kSpan;
    return rows / kSpan * 32 + (rest < 32 ? rest : 32);
  } else {
    return (rows + kRows - 1) / kRows;
  }
}

// Format: kBlock elements have one scale; Codes are eight elements' codes; read(codes, unit) loads
// them, decode(codes, values) decodes them. factor(byte, row) is what a block's elements are multiplied
// by.
template <class Config, class Format, class Factor>
FOURGE_INLINE void dequantize_rows(const uint8* codes, const uint8* scales, void* out,
                                   const RowsShape& shape, const Factor& factor) {
  constexpr int kRows = Config::kTokensPerCta();
  constexpr ScaleLayout kLayout = Config::kLayout();
  constexpr int64 kDistance = kRowDistance<kLayout>;
  constexpr int64 kUnitsOfBlock = Format::kBlock / 8;
  const int64 units = shape.cols / 8;
  const int64 code_units = shape.padded_cols / 8;
  const int64 all_columns = padded_columns<kLayout>(shape.padded_cols / Format::kBlock);
  const int64 scale_bytes = padded_rows<kLayout>(shape.rows) * all_columns;
  const int64 unit = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (unit >= units) {
    return;
  }
  const int64 groups = groups_of_rows<kLayout, kRows>(shape.rows);
  for (int64 batch = blockIdx.z; batch < shape.batches; batch += gridDim.z) {
    for (int64 group = blockIdx.y; group < groups; group += gridDim.y) {
      const int64 first = first_row_of_group<kLayout, kRows>(group);
      typename Format::Codes loaded[kRows];
      uint32 scale[kRows];
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        const int64 row = first + i * kDistance;
        loaded[i] = {};
        scale[i] = 0;
        if (row < shape.rows) {
          loaded[i] = Format::read(codes, (batch * shape.rows + row) * code_units + unit);
          scale[i] = load(scales + batch * scale_bytes +
                          scale_offset<kLayout>(row, unit / kUnitsOfBlock, all_columns));
        }
      }
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        const int64 row = first + i * kDistance;
        if (row < shape.rows) {
          const float w = factor(scale[i], row);
          float values[8];
          Format::decode(loaded[i], values);
#pragma unroll
          for (int k = 0; k < 8; ++k) {
            values[k] = mul_rn(values[k], w);
          }
          store_floats<Config::kOutput()>(out, (batch * shape.rows + row) * units + unit, values);
        }
      }
    }
  }
}

}  // namespace fourge_device
