// allreduce_rmsnorm_quantize: see fourge/allreduce_rmsnorm_quantize.hpp for the contract and
// fourge/comm_layout.hpp for the memory that ranks share. CTA c takes rows c, c + gridDim.x, ...,
// or a part of one (RowShare); its threads exchange a row as vectors of eight elements, and norm it in blocks of 16.
#pragma once

#include "device/norm_quantize.cuh"
#include "device/one_shot.cuh"
#include "device/two_shot.cuh"

namespace fourge_device {

enum class Algorithm { one_shot, two_shot };
enum class AllreduceOut { sum, norm, nvfp4, mxfp8, fp8 };

// What rmsnorm_quantize's parts are told.
template <class Config>
struct AfterSum : Config {
  static constexpr QuantizedFormat kFormat =
      Config::kOut == AllreduceOut::nvfp4   ? QuantizedFormat::nvfp4
      : Config::kOut == AllreduceOut::mxfp8 ? QuantizedFormat::mxfp8
      : Config::kOut == AllreduceOut::fp8   ? QuantizedFormat::fp8
                                            : QuantizedFormat::none;
  static constexpr Residual kResidual = Residual::add;
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
    if constexpr (Config::kOut == AllreduceOut::norm) {
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
    constexpr ScaleLayout kLayout = Config::kLayout;
    if constexpr (kLayout != ScaleLayout::linear) {
      const int64 first = rows + (blockIdx.x + gridDim.x - rows % gridDim.x) % gridDim.x;
      for (int64 row = first; row < padded_rows<kLayout>(rows); row += gridDim.x) {
        store_zero_scales<After>(quantize.scales, row, quantize.scale_columns);
      }
    }
  }
};

// Puts the sum of a row where put(vector's number, sum) does.
template <class Config, class Exchange, class Put>
FOURGE_INLINE void get_row(const Exchange& exchange, int64 row, const Put& put) {
  if constexpr (Config::kAlgorithm == Algorithm::one_shot) {
    exchange.sum_row(row, put);
  } else {
    exchange.read_row(row, put);
  }
}

// This CTA's rows, one after the other.
template <class Config, class Exchange>
FOURGE_INLINE void finish_rows(const Exchange& exchange, int64 rows, const RowShare& share,
                               const RowTail<Config>& tail) {
  const NormOperands& operands = tail.operands;
  for (int64 index = share.first; index < rows; index += share.step) {
    typename RowTail<Config>::Row row(operands, index * operands.cols, share.part, share.parts);
    row.start();  // before the wait
    get_row<Config>(exchange, index, [&row](int vector, const PeerVector& sum) {
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
    get_row<Config>(exchange, index, [to](int vector, const PeerVector& sum) {
      store_words(to + static_cast<int64>(vector) * 16, sum.w);
    });
  }
}

template <class Config>
FOURGE_INLINE void allreduce_rmsnorm_quantize_kernel(
    const void* x, const void* residual, const void* weight, void* sum_out, void* residual_out,
    void* norm_out, uint8* q, uint8* scales, float* token_scales, const float* scale,
    float scale_value, float eps, int64 rows, int64 cols, int rank, int, void* peer0, void* peer1,
    void* peer2, void* peer3, void* peer4, void* peer5, void* peer6, void* peer7, void* control,
    void* report, int64 slot_bytes, int64 input_offset, int64 input_slot_bytes, int64 result_offset,
    int64, int64 deadline_ns) {
  constexpr bool kSum = Config::kOut == AllreduceOut::sum;
  constexpr bool kOneShot = Config::kAlgorithm == Algorithm::one_shot;
  constexpr bool kGiven =
      Config::kScaling == Scaling::tensor &&
      (Config::kOut == AllreduceOut::nvfp4 || Config::kOut == AllreduceOut::fp8);
  // A row's own scale needs its largest element, and the sum alone needs no more than one CTA.
  constexpr int kPartBits =
      kOneShot && Config::kRanks > 1 && Config::kScaling == Scaling::tensor && !kSum ? 3 : 0;
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
  const RowShare share(rows, kPartBits);
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

  // All that a call begins with is on its way at once.
  RowCursor<Config> cursor = {static_cast<const char*>(x), rows, vectors, share, 0, 0, {}};
  if constexpr (kOneShot) {
    cursor.start();
  }
  const float given = kGiven && scale != nullptr ? load(scale) : scale_value;
  const ControlState state = load_state(group.control, control_words);
  // Of thread 0; the answer is not needed before the end.
  const uint32 arrived = group.arrive();
  const NormQuantizer<AfterSum<Config>> quantize{
      q, scales, padded_columns<Config::kLayout>(unit_scale_columns<AfterSum<Config>>(cols))};
  const RowTail<Config> tail{operands, quantize, given, token_scales, scratch, sums};

  if constexpr (kOneShot) {
    const OneShot<Config> exchange{group, state,   static_cast<const char*>(x),
                                   rows,  vectors, slot_bytes};
    exchange.send_rows(cursor);
    if constexpr (!kSum) {
      tail.pad(rows);
    }
    exchange.clear();
    if constexpr (kSum) {
      store_sums<Config>(exchange, rows, vectors, sum_out);
    } else {
      finish_rows<Config>(exchange, rows, share, tail);
    }
    group.finish_call(arrived, (state.generation + 1) % kGenerations,
                      static_cast<uint64>(rows * vectors * 16));
  } else {
    const TwoShot<Config> exchange{group,
                                   state,
                                   static_cast<const char*>(x),
                                   rows,
                                   vectors,
                                   input_offset,
                                   input_slot_bytes,
                                   result_offset};
    if constexpr (!kSum) {
      tail.pad(rows);
    }
    exchange.reduce();
    if constexpr (kSum) {
      store_sums<Config>(exchange, rows, vectors, sum_out);
    } else {
      finish_rows<Config>(exchange, rows, share, tail);
    }
    group.finish_call(arrived, state.generation, state.used_bytes);
  }
}

}  // namespace fourge_device
