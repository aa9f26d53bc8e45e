// RMSNorm of one row by threads of a CTA, one block of 16 elements after the other: all of the row lies in
// shared memory. A row too long for that is read again where it is needed.
#pragma once

#include "device/block_quantize.cuh"
#include "device/row_sum.cuh"
#include "device/shared_row.cuh"

namespace fourge_device {

enum class Residual { none, add };
enum class NormWeight { plain, plus_one };
// How x gets into shared memory: the norm copies it, or it has been put there.
enum class RowSource { global, shared };

// Beyond it x is read again.
enum : int { kMostHeldColumns = 23040 };

struct NormOperands {
  const void* x;
  const void* residual;
  const void* weight;
  void* residual_out;
  void* norm_out;
  float eps;
  int cols;
};

struct NormPair {
  float low;
  float high;
};

// What two normed elements are multiplied by.
template <class Config>
FOURGE_INLINE NormPair weight_pair(uint32 weight) {
  using P = Packed16<Config::kInput()>;
  const NormPair w = {P::low(weight), P::high(weight)};
  if constexpr (Config::kWeight() == NormWeight::plus_one) {
    return {add_rn(w.low, 1.0f), add_rn(w.high, 1.0f)};
  } else {
    return w;
  }
}
// y of two elements, for the factor n of their row.
template <class Config>
FOURGE_INLINE NormPair normalised_pair(NormPair v, uint32 weight, float inverse) {
  const NormPair w = weight_pair<Config>(weight);
  return {mul_rn(mul_rn(v.low, inverse), w.low), mul_rn(mul_rn(v.high, inverse), w.high)};
}
// The values of a block, and a block of values rounded.
template <ElementType kType>
FOURGE_INLINE void unpack_block(const Words8& words, float (&v)[16]) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    v[2 * i] = Packed16<kType>::low(words.w[i]);
    v[2 * i + 1] = Packed16<kType>::high(words.w[i]);
  }
}
template <ElementType kType>
FOURGE_INLINE Words8 pack_block(const float (&v)[16]) {
  Words8 words;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    words.w[i] = pack_pair<kType>(v[2 * i], v[2 * i + 1]);
  }
  return words;
}
// n, for the sum of a row's squares.
FOURGE_INLINE float norm_factor(float sum, int cols, float eps) {
  const float mean = mul_rn(sum, rcp_rn_normal(static_cast<float>(cols)));
  return rcp_rn(sqrt_rn(add_rn(mean, eps)));
}

// Use: start(), gather(), then for_blocks() with load(), normalise() and what quantizes.
template <class Config, RowSource kSource = RowSource::global>
struct NormRow {
  __device__ static constexpr ElementType kType() { return Config::kInput(); }
  enum : bool { kAdds = Config::kResidual() == Residual::add };
  enum : bool { kRounds = Config::kRounding() == Rounding::rounded };
  // A sum that is not rounded is made anew wherever it is used.
  enum : bool { kHoldsBoth = kAdds && !kRounds };
  using Sums = SharedArray<float, kMostLanes>;

  const NormOperands& operands;
  int64 row;  // its first element
  int blocks;
  int step;  // between the blocks of a thread
  int part;  // of the row's warps of blocks, for_blocks() takes every parts-th
  int parts;
  SharedRow shared;
  SharedBlocks held;
  float inverse;
  // The thread's present block.
  int block;
  bool later;  // than the first
  Words8 h;    // x, or their sum; after normalise() of a rounded order, its output
  Words8 residual;
  Words8 weight;

  FOURGE_INLINE NormRow(const NormOperands& given, int64 first, int own_part = 0, int all_parts = 1)
      : operands(given),
        row(first),
        blocks(given.cols / 16),
        step(static_cast<int>(blockDim.x)),
        part(own_part),
        parts(all_parts),
        shared(static_cast<int>(threadIdx.y) * (given.cols / 8)),
        held(shared, lane_of_thread()),
        inverse(0.0f),
        h{},
        residual{},
        weight{} {
    rewind();
  }

  FOURGE_INLINE bool is_held() const {
    return kSource == RowSource::shared || operands.cols <= kMostHeldColumns;
  }
  FOURGE_INLINE bool is_inside() const { return block < blocks; }

  // Sets x on its way, and what comes with the thread's first block.
  FOURGE_INLINE void start() {
    if (kSource == RowSource::global && is_held()) {
      // Neighbouring lanes copy neighbouring vectors: together they are the warp's blocks.
      const int lane = lane_of_thread();
      const int first = 2 * (static_cast<int>(threadIdx.x) - lane) + lane;
      const char* from = static_cast<const char*>(operands.x) + (row + first * 8) * 2;
      int to = shared_place(first);
#pragma unroll 1
      for (int i = first; i < 2 * blocks; i += 2 * step) {
        shared.copy(to, from);
        if (i + 32 < 2 * blocks) {
          shared.copy(to + 32, from + 512);
        }
        to += 2 * step;
        from = advance(from, static_cast<uint32>(step), 32);
      }
    }
    if constexpr (kAdds) {
      load_residual();
    }
    begin_part();
    load_weight();
    end_part();
  }

  // The row's sum of squares, over all its threads. What has been put into shared memory must be there.
  FOURGE_INLINE void gather(Sums& sums) {
    const int lanes = row_lanes(blocks);
    const int first = static_cast<int>(threadIdx.y) * lanes;
    const LaneSums lane_sums(sums, first);
    if constexpr (kSource == RowSource::global) {
      copies_done();
      __syncwarp();
    }
#pragma unroll 1
    for (rewind(); block < lanes; next()) {
      float sum = 0.0f;
      if (is_inside()) {
        load_sum(later);
        sum = plus_squares(sum);
        if (blocks > kMostLanes) {
          sum = plus_rest(sum);
        }
      }
      lane_sums.set(block, sum);
    }
    row_barrier();
    inverse = norm_factor(sum_of_lanes(sums, first, lanes), operands.cols, operands.eps);
  }

  // The thread's first block in for_blocks().
  FOURGE_INLINE int first_of_part() const {
    const int lane = lane_of_thread();
    return (static_cast<int>(threadIdx.x) - lane) * parts + part * 32 + lane;
  }

  // Calls f() for each of the thread's blocks in this CTA's part of the row, and as often for those of the
  // warp that end beyond the row.
  template <class F>
  FOURGE_INLINE void for_blocks(const F& f) {
    begin_part();
    // Those of a whole warp.
    const int end = blocks + lane_of_thread();
#pragma unroll 1
    for (; block < end; next()) {
      f();
    }
    end_part();
  }

  // The present block after gather(). The first one's weights are there since start(), if nothing has taken
  // their place. Beyond the row, h stays what it was.
  FOURGE_INLINE void load(bool has_first_weights) {
    if (later || !has_first_weights) {
      load_weight();
    }
    if (is_inside()) {
      if constexpr (kHoldsBoth) {
        load_residual();
      }
      if (is_held()) {
        h = held.get(block);
      }
      if_seldom(!is_held(), [&] { load_sum(true); });
    }
  }

  // Stores h, where it is a sum, and the output, where asked for, if kStore. In a rounded order the output
  // takes the place of h.
  template <bool kStore>
  FOURGE_INLINE void normalise() {
    if constexpr (kStore && kAdds) {
      if (is_inside() && (kSource == RowSource::global || operands.residual_out != nullptr)) {
        store_block(operands.residual_out, kHoldsBoth ? rounded_total() : h);
      }
    }
    if constexpr (kRounds) {
      h = rounded_output();
    }
    if constexpr (kStore) {
      if_seldom(operands.norm_out != nullptr, [&] {
        if (is_inside()) {
          store_block(operands.norm_out, kRounds ? h : rounded_output());
        }
      });
    }
  }

  // A normalised block's rounded output, from normalise() to load_output().
  FOURGE_INLINE void keep_output() const {
    if (is_inside() && is_held()) {
      held.put(block, h);
    }
  }
  FOURGE_INLINE void load_output() {
    if (kRounds && is_held()) {
      if (is_inside()) {
        h = held.get(block);
      }
    } else {
      load(false);
      normalise<false>();
    }
  }

  // The output of a normalised block.
  FOURGE_INLINE void values(float (&v)[16]) const {
    using P = Packed16<kType()>;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const NormPair pair = kRounds ? NormPair{P::low(h.w[i]), P::high(h.w[i])} : normalised(i);
      v[2 * i] = pair.low;
      v[2 * i + 1] = pair.high;
    }
  }

  // Its largest magnitude as bits of a float, NaN skipped.
  FOURGE_INLINE uint32 magnitude() const {
    if constexpr (kRounds) {
      uint32 bits = block_max_bits<kType()>(h.w);
      if (unlikely(bits > Packed16<kType()>::kInfinity)) {
        bits = block_max_bits_skip_nan<kType()>(h.w);
      }
      return float_bits(value_of_bits<kType()>(bits));
    } else {
      float v[16];
      values(v);
      return float_bits(block_magnitude(v));
    }
  }

 private:
  static FOURGE_INLINE int lane_of_thread() { return static_cast<int>(threadIdx.x & 31u); }
  FOURGE_INLINE void rewind() {
    block = static_cast<int>(threadIdx.x);
    later = false;
  }
  FOURGE_INLINE void begin_part() {
    step *= parts;
    block = first_of_part();
    later = false;
  }
  FOURGE_INLINE void end_part() {
    step = static_cast<int>(blockDim.x);
    rewind();
  }
  FOURGE_INLINE void next() {
    block += step;
    later = true;
  }

  FOURGE_INLINE Words8 load_block(const void* from) const {
    return load_words8<Config::kLoad256()>(static_cast<const char*>(from) +
                                           (row + static_cast<int64>(block) * 16) * 2);
  }
  FOURGE_INLINE void store_block(void* to, const Words8& words) const {
    store_words(static_cast<char*>(to) + (row + static_cast<int64>(block) * 16) * 2, words.w);
  }
  FOURGE_INLINE void load_weight() {
    if (is_inside()) {
      weight = load_words8<Config::kLoad256()>(
          advance(static_cast<const char*>(operands.weight), static_cast<uint32>(block), 32));
    }
  }
  FOURGE_INLINE void load_residual() {
    if (is_inside()) {
      residual = load_block(operands.residual);
    }
  }

  // h of a block that is inside, as long as gather() has not been there; leaves it in shared memory.
  FOURGE_INLINE void load_sum(bool with_residual) {
    if (is_held()) {
      h = held.get(block);
    }
    if_seldom(!is_held(), [&] { h = load_block(operands.x); });
    if constexpr (kAdds) {
      if (with_residual) {
        load_residual();
      }
      if constexpr (kRounds) {
        h = rounded_total();
        keep_output();
      }
    }
  }

  FOURGE_INLINE float plus_squares(float sum) const {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const NormPair v = sum_of(i);
      sum = fma_rn(v.low, v.low, sum);
      sum = fma_rn(v.high, v.high, sum);
    }
    return sum;
  }
  // Those of the lane's further blocks.
  FOURGE_INLINE float plus_rest(float sum) {
    const int own = block;
#pragma unroll 1
    for (block += kMostLanes; is_inside(); block += kMostLanes) {
      load_sum(true);
      sum = plus_squares(sum);
    }
    block = own;
    return sum;
  }

  FOURGE_INLINE NormPair total(int i) const {
    using P = Packed16<kType()>;
    const uint32 r = residual.w[i];
    return {add_rn(P::low(h.w[i]), P::low(r)), add_rn(P::high(h.w[i]), P::high(r))};
  }
  FOURGE_INLINE NormPair sum_of(int i) const {
    using P = Packed16<kType()>;
    return kHoldsBoth ? total(i) : NormPair{P::low(h.w[i]), P::high(h.w[i])};
  }
  FOURGE_INLINE NormPair normalised(int i) const {
    return normalised_pair<Config>(sum_of(i), weight.w[i], inverse);
  }

  // Eight pairs, rounded.
  template <class Pair>
  static FOURGE_INLINE Words8 rounded(const Pair& pair) {
    Words8 words;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const NormPair v = pair(i);
      words.w[i] = pack_pair<kType()>(v.low, v.high);
    }
    return words;
  }
  FOURGE_INLINE Words8 rounded_total() const {
    return rounded([this](int i) { return total(i); });
  }
  FOURGE_INLINE Words8 rounded_output() const {
    return rounded([this](int i) { return normalised(i); });
  }
};

}  // namespace fourge_device
