// A thread's 32 neighbouring elements of a row, as floats. A row has a multiple of 16, so its last unit
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

// Each element becomes the nearest of the 16-bit type.
template <ElementType kType>
FOURGE_INLINE void round_unit(float (&v)[32]) {
  unpack_words<kType>(pack_words<kType>(v), v);
  unpack_words<kType>(pack_words<kType>(v + 16), v + 16);
}

// The unit whose first element is the column-th of the row that starts at `row`, in elements.
template <class Config>
FOURGE_INLINE void load_unit(const void* x, int64 row, int64 column, int64 cols, float (&v)[32]) {
  const char* from = static_cast<const char*>(x) + (row + column) * 2;
  Words8 first = {};
  Words8 second = {};
  if (column < cols) {
    first = load_words8<Config::kLoad256>(from);
  }
  if (column + 16 < cols) {
    second = load_words8<Config::kLoad256>(from + 32);
  }
  unpack_words<Config::kInput>(first, v);
  unpack_words<Config::kInput>(second, v + 16);
}

// Rounded to the 16-bit type.
template <ElementType kType>
FOURGE_INLINE void store_unit(void* y, int64 row, int64 column, int64 cols, const float (&v)[32]) {
  char* to = static_cast<char*>(y) + (row + column) * 2;
  if (column < cols) {
    store_words(to, pack_words<kType>(v).w);
  }
  if (column + 16 < cols) {
    store_words(to + 32, pack_words<kType>(v + 16).w);
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
