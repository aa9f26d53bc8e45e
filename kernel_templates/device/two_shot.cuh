// All-reduce in two steps, with barriers. A row's vectors are divided among the ranks, which each add up their part: ranks
// send each other what is to be added, meet at a barrier, add, send the sums to all, and meet again. CTA c
// of every rank takes the same rows, so that only CTAs of one number meet.
//
// Two barriers are enough. What a call writes first, the input areas of others, they read between the
// barriers of the call before; a rank leaves that call when all its CTAs have passed the second barrier,
// which its partners reach after that reading. The result areas are read after the second barrier, and
// the next call writes to another's only after its first barrier, which that rank's CTA reaches when its
// kernel before has ended.
#pragma once

#include "device/peer_group.cuh"
#include "device/peer_sum.cuh"
#include "device/row_share.cuh"

namespace fourge_device {

template <class Config>
struct TwoShot {
  enum : int { kRanks = Config::kRanks() };
  enum : int { kBatch = kRanks <= 2 ? 4 : kRanks <= 4 ? 2 : 1 };
  enum : int { kInputBatch = 4 };

  const PeerGroup<Config>& group;
  const ControlState& state;
  const char* x;
  int64 rows;
  int vectors;  // of a row
  int64 input_offset;
  int64 input_slot_bytes;
  int64 result_offset;

  FOURGE_INLINE int part() const { return part_of<kRanks>(vectors); }
  // This CTA's rows: the first, and how many.
  FOURGE_INLINE int64 own_rows() const {
    return rows <= static_cast<int64>(blockIdx.x)
               ? 0
               : (rows - static_cast<int64>(blockIdx.x) + gridDim.x - 1) / gridDim.x;
  }
  FOURGE_INLINE int64 row_of(int64 i) const {
    return static_cast<int64>(blockIdx.x) + i * static_cast<int64>(gridDim.x);
  }

  // Puts the sums of all of this CTA's rows into this rank's result area.
  FOURGE_INLINE void reduce() const {
    if (own_rows() == 0) {
      return;
    }
    // One copy of the barrier for both.
#pragma unroll 1
    for (uint32 step = 1; step <= 2; ++step) {
      if (step == 1) {
        send_inputs();
      } else {
        send_sums();
      }
      if (!meet(2 * state.calls + step,
                step == 1 ? WaitKind::input_barrier : WaitKind::result_barrier)) {
        return;  // after the first nobody is to take what are not the sums for them
      }
    }
  }

 private:
  // Where the owner of a row's vector has it, in its input area.
  FOURGE_INLINE int64 input_place(int source, int64 row, int in_part) const {
    return input_offset + source * input_slot_bytes + (row * part() + in_part) * 16;
  }

  FOURGE_INLINE void send_inputs() const {
    const int step = static_cast<int>(blockDim.x);
    const int64 count = own_rows();
    for (int64 i = 0; i < count; ++i) {
      const int64 row = row_of(i);
#pragma unroll 1
      for (int first = static_cast<int>(threadIdx.x); first < vectors;
           first += step * kInputBatch) {
        PeerVector v[kInputBatch];
#pragma unroll
        for (int b = 0; b < kInputBatch; ++b) {
          if (first + b * step < vectors) {
            v[b] = load_words4(x + (row * vectors + first + b * step) * 16);
          }
        }
#pragma unroll
        for (int b = 0; b < kInputBatch; ++b) {
          const int vector = first + b * step;
          const int owner = owner_of<kRanks>(vector, part());
          if (vector < vectors && owner != group.rank) {
            store_peer(group.at(owner) + input_place(group.rank, row, vector - owner * part()),
                       as_input<Config::kInput()>(v[b]));
          }
        }
      }
    }
  }

  FOURGE_INLINE void send_sums() const {
    const int begin = group.rank * part();
    const int mine = vectors - begin < part() ? vectors - begin : part();
    if (mine <= 0) {
      return;
    }
    // From one of a thread's vectors to the next are so many rows of this CTA's, and vectors.
    const int step = static_cast<int>(blockDim.x);
    const int vectors_on = step % mine;
    const int64 rows_on = row_of(step / mine) - row_of(0);
    int in_part = static_cast<int>(threadIdx.x) % mine;
    int64 row = row_of(static_cast<int>(threadIdx.x) / mine);
#pragma unroll 1
    while (row < rows) {
      PeerVector own[kBatch];
      PeerVector v[kBatch][kRanks];
      int64 at[kBatch];
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        at[b] = -1;
        if (row < rows) {
          at[b] = (row * vectors + begin + in_part) * 16;
          own[b] = load_words4(x + at[b]);
#pragma unroll
          for (int r = 0; r < kRanks; ++r) {
            if (r != group.rank) {
              v[b][r] = load_peer(group.own() + input_place(r, row, in_part));
            }
          }
          row += rows_on;
          in_part += vectors_on;
          if (in_part >= mine) {
            in_part -= mine;
            row += gridDim.x;
          }
        }
      }
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        if (at[b] >= 0) {
          const PeerVector input = as_input<Config::kInput()>(own[b]);
#pragma unroll
          for (int r = 0; r < kRanks; ++r) {
            v[b][r] = chosen(r != group.rank, v[b][r], input);
          }
          const PeerVector sum = add_up<Config>(v[b]);
#pragma unroll
          for (int r = 0; r < kRanks; ++r) {
            store_peer(group.peers[r] + result_offset + at[b], sum);
          }
        }
      }
    }
  }

  // A barrier of the CTAs of this number on all ranks: what they stored before is there after it. Each
  // barrier of a group has a number of its own, and a flag that is past it will do: its rank may already
  // wait at the next one. False if this rank has given up.
  FOURGE_INLINE bool meet(uint64 number, WaitKind kind) const {
    __syncthreads();
    bool over = false;
    const int r = static_cast<int>(threadIdx.x);
    if (r < 32) {
      const bool meets = r < kRanks && group.is_remote(r);
      const int64 line = static_cast<int64>(blockIdx.x) * kFlagLineBytes;
      if (meets) {
        store_peer_release(group.at(r) + line + group.rank * 8, number);
      }
      __syncwarp();  // all ranks are told before any is waited for
      PeerWait<Config> wait{group, kind, 0, 0};
      while (meets && load_peer_acquire(group.own() + line + r * 8) < number && !over) {
        over = wait.is_over(r);
      }
    }
    return __syncthreads_or(over ? 1 : 0) == 0;
  }
};

}  // namespace fourge_device
