// allreduce_rmsnorm_quantize: see fourge/allreduce_rmsnorm_quantize.hpp for the contract and
// fourge/comm_layout.hpp for the memory that ranks share. CTA c takes rows c, c + gridDim.x, ...; its
// threads exchange a row as vectors of eight elements, and the first of them norm it in units of 32.
#pragma once

#include "device/norm_quantize.cuh"
#include "device/one_shot.cuh"
#include "device/shared_row.cuh"
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

  const NormOperands& operands;
  const NormQuantizer<After>& quantize;
  float given;
  float* token_scales;
  SharedArray<uint32, 64>& scratch;

  // The row's sums are in shared memory.
  FOURGE_INLINE void operator()(int64 index) const {
    const int rounds = (operands.cols + 8191) >> 13;
    NormRow<After, SharedRow<After>> row{operands, index * operands.cols, 0.0f, {}, {}};
    row.gather(rounds, scratch);
    if constexpr (Config::kOut == AllreduceOut::norm) {
      const int last = SharedRow<After>::working(operands.cols) ? rounds - 1 : -1;
#pragma unroll 1
      for (int round = last; round >= 0; --round) {
        if (round != rounds - 1) {
          row.load(round);
        }
        row.template normalise<true>(round);
      }
    } else {
      quantize_gathered_row(row, index, rounds, given, quantize, token_scales, scratch);
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

  // What the first row's tail reads.
  FOURGE_INLINE void prefetch(int64 rows) const {
    const int64 row = blockIdx.x;
    if (row < rows && static_cast<int>(threadIdx.x) * 64 < operands.cols) {
      const int64 column = static_cast<int64>(threadIdx.x) * 64;
      prefetch_line(static_cast<const char*>(operands.residual) +
                    (row * operands.cols + column) * 2);
      prefetch_line(static_cast<const char*>(operands.weight) + column * 2);
    }
  }
};

// Gets the sums of this CTA's rows, one after the other, to put(row, vector's number, sum); then done(row).
template <class Config, class Exchange, class Put, class Done>
FOURGE_INLINE void visit_rows(const Exchange& exchange, int64 rows, const Put& put,
                              const Done& done) {
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    const auto put_here = [&](int vector, const PeerVector& sum) { put(row, vector, sum); };
    if constexpr (Config::kAlgorithm == Algorithm::one_shot) {
      exchange.sum_row(row, put_here);
    } else {
      exchange.read_row(row, put_here);
    }
    done(row);
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
  constexpr bool kGiven =
      Config::kScaling == Scaling::tensor &&
      (Config::kOut == AllreduceOut::nvfp4 || Config::kOut == AllreduceOut::fp8);
  __shared__ SharedArray<uint32, 64> scratch;

  const PeerGroup<Config> group{
      {static_cast<char*>(peer0), static_cast<char*>(peer1), static_cast<char*>(peer2),
       static_cast<char*>(peer3), static_cast<char*>(peer4), static_cast<char*>(peer5),
       static_cast<char*>(peer6), static_cast<char*>(peer7)},
      rank,
      static_cast<Control*>(control),
      static_cast<char*>(report),
      static_cast<uint64>(deadline_ns)};
  const NormOperands operands{
      x, residual, weight, residual_out, norm_out, eps, static_cast<int>(cols)};
  const int vectors = operands.cols / 8;

  wait_for_predecessor<Config>();
  RowCursor<Config> cursor = {static_cast<const char*>(x), rows, vectors, 0, 0, {}};
  if constexpr (Config::kAlgorithm == Algorithm::one_shot) {
    cursor.start();  // on its way while the control is read
  }
  const ControlState state = load_state(group.control);
  const float given = kGiven && scale != nullptr ? load(scale) : scale_value;
  const NormQuantizer<AfterSum<Config>> quantize{
      q, scales, padded_columns<Config::kLayout>(unit_scale_columns<AfterSum<Config>>(cols))};
  const RowTail<Config> tail{operands, quantize, given, token_scales, scratch};

  const auto put = [&](int64 row, int vector, const PeerVector& sum) {
    if constexpr (kSum) {
      store_words(static_cast<char*>(sum_out) + (row * vectors + vector) * 16, sum.w);
    } else {
      put_shared(vector, sum);
    }
  };
  const auto done = [&](int64 row) {
    if constexpr (!kSum) {
      __syncthreads();
      tail(row);
      if (row + gridDim.x < rows) {
        __syncthreads();  // the next row takes this one's place
      }
    }
  };
  if constexpr (Config::kAlgorithm == Algorithm::one_shot) {
    const OneShot<Config> exchange{group, state,   static_cast<const char*>(x),
                                   rows,  vectors, slot_bytes};
    exchange.send_rows(cursor);
    if constexpr (!kSum) {
      tail.prefetch(rows);
      tail.pad(rows);
    }
    exchange.clear();
    group.arrive(state, (state.generation + 1) % kGenerations,
                 static_cast<uint64>(rows * vectors * 16));
    visit_rows<Config>(exchange, rows, put, done);
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
    group.arrive(state, state.generation, state.used_bytes);
    exchange.reduce();
    visit_rows<Config>(exchange, rows, put, done);
  }
}

}  // namespace fourge_device
