// allreduce_rmsnorm_quantize: see fourge/allreduce_rmsnorm_quantize.hpp for the contract and
// fourge/comm_layout.hpp for the memory that ranks share. CTA c takes rows c, c + gridDim.x, ...,
// or a part of one (RowShare); its threads exchange a row as vectors of eight elements, and norm it in blocks of 16.
#pragma once

#include "device/norm_quantize.cuh"
#include "device/one_shot.cuh"
#include "device/two_shot.cuh"
#include "device/two_shot_sentinels.cuh"

namespace fourge_device {

enum class Algorithm { one_shot, two_shot };
enum class AllreduceOut { sum, norm, nvfp4, mxfp8, fp8 };

// What rmsnorm_quantize's parts are told.
template <class Config>
struct AfterSum : Config {
  __device__ static constexpr QuantizedFormat kFormat() {
    return Config::kOut() == AllreduceOut::nvfp4   ? QuantizedFormat::nvfp4
           : Config::kOut() == AllreduceOut::mxfp8 ? QuantizedFormat::mxfp8
           : Config::kOut() == AllreduceOut::fp8   ? QuantizedFormat::fp8
                                                   : QuantizedFormat::none;
  }
  __device__ static constexpr Residual kResidual() { return Residual::add; }
};

template <class Config>
struct RowTail {
  using After = AfterSum<Config>;
  using Row = NormRow<After, RowSource::shared>;

  const NormOperands& operands;
  const NormQuantizer<After>& quantize;
  float given;
  float* token_scales;
  SharedArray<uint32, 64>& scratch;
  SharedArray<float, kMostLanes>& sums;

  // The row's sums are in shared memory.
  FOURGE_INLINE void operator()(Row& row, int64 index) const {
    row.gather(sums);
    if constexpr (Config::kOut() == AllreduceOut::norm) {
      row.for_blocks([&] {
        row.load(true);
        row.template normalise<true>();
      });
    } else {
      quantize_gathered_row(row, index, given, quantize, token_scales, scratch);
    }
  }

  // The scales of the rows that only pad the layout.
  FOURGE_INLINE void pad(int64 rows) const {
    constexpr ScaleLayout kLayout = Config::kLayout();
    if constexpr (kLayout != ScaleLayout::linear) {
      const int64 first = rows + (blockIdx.x + gridDim.x - rows % gridDim.x) % gridDim.x;
      for (int64 row = first; row < padded_rows<kLayout>(rows); row += gridDim.x) {
        store_zero_scales<After>(quantize.scales, row, quantize.scale_columns);
      }
    }
  }
};

// This CTA's rows, one after the other.
template <class Config, class Exchange>
FOURGE_INLINE void finish_rows(const Exchange& exchange, int64 rows, const RowShare& share,
                               const RowTail<Config>& tail) {
  const NormOperands& operands = tail.operands;
  for (int64 index = share.first; index < rows; index += share.step) {
    typename RowTail<Config>::Row row(operands, index * operands.cols, share.part, share.parts);
    row.start();  // before the wait
    exchange.get_row(index, [&row](int vector, const PeerVector& sum) {
      row.shared.put(shared_place(vector), sum);
    });
    __syncthreads();
    tail(row, index);
    if (index + share.step < rows) {
      __syncthreads();  // the next row takes this one's place
    }
  }
}

// The same where nothing follows the sum.
template <class Config, class Exchange>
FOURGE_INLINE void store_sums(const Exchange& exchange, int64 rows, int vectors, void* sum_out) {
  for (int64 index = blockIdx.x; index < rows; index += gridDim.x) {
    char* const to = static_cast<char*>(sum_out) + index * vectors * 16;
    exchange.get_row(index, [to](int vector, const PeerVector& sum) {
      store_words(to + static_cast<int64>(vector) * 16, sum.w);
    });
  }
}

// A call, when its predecessor's memory may be read.
template <class Config>
struct AllreduceCall {
  enum : bool { kSum = Config::kOut() == AllreduceOut::sum };

  const PeerGroup<Config>& group;
  const RowShare& share;
  const char* x;
  int64 rows;
  int vectors;  // of a row
  int64 slot_bytes;
  int64 input_offset;
  int64 input_slot_bytes;
  int64 result_offset;
  void* sum_out;

  FOURGE_INLINE uint64 row_bytes(int vectors_of_row) const {
    return static_cast<uint64>(rows * vectors_of_row * 16);
  }

  FOURGE_INLINE void one_shot(const RowTail<Config>& tail) const {
    // All that a call begins with is on its way at once.
    RowCursor<Config> cursor = {x, rows, vectors, share, 0, 0, {}};
    cursor.start();
    const ControlState state = load_state(group.control, group.control_words);
    if (group.gave_up()) {
      return;
    }
    const uint32 arrived = group.arrive();
    const PeerSlots<Config> slots{group, state, slot_bytes};
    const OneShot<Config> exchange{slots, group, x, rows, vectors};
    exchange.send_rows(cursor);
    pad(tail);
    slots.clear();
    finish(exchange, tail);
    group.prepare_next(arrived, (state.generation + 1) % kGenerations, row_bytes(vectors), 0);
  }

  FOURGE_INLINE void two_shot(const RowTail<Config>& tail, bool by_sentinels) const {
    ControlState state = {};
    const PeerSlots<Config> slots{group, state, slot_bytes};
    uint32 arrived;
    if (by_sentinels) {
      const TwoShotSentinels<Config> exchange{slots, share, x, rows, vectors};
      typename TwoShotSentinels<Config>::Inputs inputs = exchange.first_inputs();
      state = load_state(group.control, group.control_words);
      if (group.gave_up()) {
        return;
      }
      arrived = group.arrive();
      exchange.send_inputs(inputs);
      pad(tail);
      __syncthreads();
      exchange.send_sums();
      slots.clear();
      group.prepare_next(arrived, (state.generation + 1) % kGenerations, row_bytes(exchange.part()),
                         row_bytes(vectors));
      __syncthreads();
    } else {
      state = load_state(group.control, group.control_words);
      if (group.gave_up()) {
        return;
      }
      arrived = group.arrive();
      pad(tail);
      const TwoShot<Config> exchange{
          group, state, x, rows, vectors, input_offset, input_slot_bytes, result_offset};
      exchange.reduce();
    }
    finish(TwoShotSums<Config>{slots, by_sentinels, vectors, result_offset}, tail);
    if (!by_sentinels) {
      state = state_of(group.control_words);
      group.prepare_next(arrived, state.generation, state.used_bytes, state.result_bytes);
    }
  }

 private:
  FOURGE_INLINE void pad(const RowTail<Config>& tail) const {
    if constexpr (!kSum) {
      tail.pad(rows);
    }
  }
  template <class Exchange>
  FOURGE_INLINE void finish(const Exchange& exchange, const RowTail<Config>& tail) const {
    if constexpr (kSum) {
      store_sums<Config>(exchange, rows, vectors, sum_out);
    } else {
      finish_rows<Config>(exchange, rows, share, tail);
    }
  }
};

template <class Config>
FOURGE_INLINE void allreduce_rmsnorm_quantize_kernel(
    const void* x, const void* residual, const void* weight, void* sum_out, void* residual_out,
    void* norm_out, uint8* q, uint8* scales, float* token_scales, const float* scale,
    float scale_value, float eps, int64 rows, int64 cols, int rank, int, void* peer0, void* peer1,
    void* peer2, void* peer3, void* peer4, void* peer5, void* peer6, void* peer7, void* control,
    void* report, int64 slot_bytes, int64 input_offset, int64 input_slot_bytes, int64 result_offset,
    int64, int64 deadline_ns) {
  constexpr bool kSum = Config::kOut() == AllreduceOut::sum;
  constexpr bool kOneShot = Config::kAlgorithm() == Algorithm::one_shot;
  constexpr bool kGiven =
      Config::kScaling() == Scaling::tensor &&
      (Config::kOut() == AllreduceOut::nvfp4 || Config::kOut() == AllreduceOut::fp8);
  // A row's own scale needs its largest element, and the sum alone needs no more than one CTA.
  constexpr int kPartBits =
      Config::kRanks() > 1 && Config::kScaling() == Scaling::tensor && !kSum ? 3 : 0;
  __shared__ SharedArray<uint32, 64> scratch;
  __shared__ SharedArray<float, kMostLanes> sums;
  __shared__ ControlWords control_words;

  const PeerGroup<Config> group{
      {static_cast<char*>(peer0), static_cast<char*>(peer1), static_cast<char*>(peer2),
       static_cast<char*>(peer3), static_cast<char*>(peer4), static_cast<char*>(peer5),
       static_cast<char*>(peer6), static_cast<char*>(peer7)},
      rank,
      static_cast<Control*>(control),
      static_cast<char*>(report),
      static_cast<uint64>(deadline_ns),
      control_words};
  const NormOperands operands{
      x, residual, weight, residual_out, norm_out, eps, static_cast<int>(cols)};
  const int vectors = operands.cols / 8;
  const bool by_sentinels = !kOneShot && adds_by_sentinels<Config>(rows * cols * 2, slot_bytes);
  const RowShare share(rows, kOneShot || by_sentinels ? kPartBits : 0);
  // While the predecessor may still run: into the second-level cache, where nothing becomes stale.
  if constexpr (!kSum) {
    if (share.first < rows && static_cast<int>(threadIdx.x) * 64 < operands.cols) {
      const int64 column = static_cast<int64>(threadIdx.x) * 64;
      prefetch_line(static_cast<const char*>(residual) + (share.first * cols + column) * 2);
      prefetch_line(static_cast<const char*>(weight) + column * 2);
    }
  }
  wait_for_predecessor<Config>();
  let_successor_start<Config>();

  const float given = kGiven && scale != nullptr ? load(scale) : scale_value;
  const NormQuantizer<AfterSum<Config>> quantize{
      q, scales, padded_columns<Config::kLayout()>(unit_scale_columns<AfterSum<Config>>(cols))};
  const RowTail<Config> tail{operands, quantize, given, token_scales, scratch, sums};
  const AllreduceCall<Config> call{group,
                                   share,
                                   static_cast<const char*>(x),
                                   rows,
                                   vectors,
                                   slot_bytes,
                                   input_offset,
                                   input_slot_bytes,
                                   result_offset,
                                   sum_out};
  if constexpr (kOneShot) {
    call.one_shot(tail);
  } else {
    call.two_shot(tail, by_sentinels);
  }
}

}  // namespace fourge_device
