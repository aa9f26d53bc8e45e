// A thread's 32 neighbouring elements of a row, packed or as floats. A row has a multiple of 16, so its last unit
// may be half full: the rest is zero and never stored.
#pragma once

#include "device/convert16.cuh"
#include "device/packed16.cuh"
#include "device/store_words.cuh"

namespace fourge_device {

template <ElementType kType>
FOURGE_INLINE void unpack_words(const Words8& words, float* v) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    v[2 * i] = Packed16<kType>::low(words.w[i]);
    v[2 * i + 1] = Packed16<kType>::high(words.w[i]);
  }
}

template <ElementType kType>
FOURGE_INLINE Words8 pack_words(const float* v) {
  Words8 words;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    words.w[i] = pack_pair<kType>(v[2 * i], v[2 * i + 1]);
  }
  return words;
}

// As it lies in memory: pairs of the 16-bit type.
struct UnitWords {
  Words8 half[2];
};

// The unit whose first element is the column-th of the row that starts at `row`, in elements. Words beyond
// the row are zero.
template <class Config, class Index>
FOURGE_INLINE UnitWords load_unit_words(const void* x, int64 row, Index column, Index cols) {
  const char* from = static_cast<const char*>(x) + (row + column) * 2;
  UnitWords unit = {};
  if (column < cols) {
    unit.half[0] = load_words8<Config::kLoad256>(from);
  }
  if (column + 16 < cols) {
    unit.half[1] = load_words8<Config::kLoad256>(from + 32);
  }
  return unit;
}

template <class Index>
FOURGE_INLINE void store_unit_words(void* y, int64 row, Index column, Index cols,
                                    const UnitWords& unit) {
  char* to = static_cast<char*>(y) + (row + column) * 2;
  if (column < cols) {
    store_words(to, unit.half[0].w);
  }
  if (column + 16 < cols) {
    store_words(to + 32, unit.half[1].w);
  }
}

// The largest magnitude, NaN skipped, as bits of a float.
FOURGE_INLINE uint32 unit_magnitude(const float (&v)[32]) {
  float largest = 0.0f;
#pragma unroll
  for (int i = 0; i < 32; ++i) {
    largest = max_num(largest, absolute(v[i]));
  }
  return float_bits(largest);
}

}  // namespace fourge_device
