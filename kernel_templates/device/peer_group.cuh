// What a rank knows of its group, and how it waits for others: fourge/comm_layout.hpp has the memory's
// layout.
#pragma once

#include "device/peer_memory.cuh"
#include "device/shared_array.cuh"

namespace fourge_device {

enum class WaitKind : uint32 { one_shot_data = 1, input_barrier = 2, result_barrier = 3 };

struct Control {
  uint32 generation;
  uint32 gave_up;
  uint64 calls;
  uint64 used_bytes;
  uint64 result_bytes;
  uint64 unused[12];
  uint32 arrived;
};

enum : uint32 { kReportMagic = 0x466F7267u };
enum : int64 { kFlagLineBytes = 128 };
enum : int64 { kOneShotOffset = 1024 * kFlagLineBytes };
enum : uint32 { kGenerations = 3 };
// comm::kSecondHandGraceNs.
enum : uint64 { kSecondHandGraceNs = 100000000 };

// Control as this launch found it; all CTAs read it before the last of them to arrive changes it.
struct ControlState {
  uint32 generation;
  uint64 calls;
  uint64 used_bytes;
  uint64 result_bytes;
};

// Those four, and whether this rank gave up in an earlier launch.
using ControlWords = SharedArray<uint64, 5>;
enum : int { kGaveUpWord = 4 };

// What a launch with so many before it leaves when it gives up.
FOURGE_INLINE uint32 gave_up_mark(uint64 calls) {
  return (static_cast<uint32>(calls) & 0x7FFFFFFFu) + 1;
}

// What load_state() found, again: rather than in registers all the time.
FOURGE_INLINE ControlState state_of(const ControlWords& words) {
  return {static_cast<uint32>(words.get(0)), words.get(1), words.get(2), words.get(3)};
}

// By all threads of a CTA, of which one asks: one place that all threads of a device ask at once answers slowly.
FOURGE_INLINE ControlState load_state(const Control* control, ControlWords& words) {
  if (threadIdx.x == 0) {
    const uint64 calls = load_control(&control->calls);
    const uint32 gave_up = load_control(&control->gave_up);
    words.set(0, load_control(&control->generation));
    words.set(1, calls);
    words.set(2, load_control(&control->used_bytes));
    words.set(3, load_control(&control->result_bytes));
    words.set(kGaveUpWord, gave_up != 0 && gave_up != gave_up_mark(calls) ? 1 : 0);
  }
  __syncthreads();
  return state_of(words);
}

template <class Config>
struct PeerGroup {
  enum : int { kRanks = Config::kRanks() };
  // A rank by itself takes the way through its workspace that others' data would take.
  enum : bool { kAlone = kRanks == 1 };

  char* peers[8];
  int rank;
  Control* control;
  char* report;
  uint64 deadline_ns;
  // What load_state() found: the control itself may be the next launch's already, for a CTA that still waits.
  ControlWords& control_words;
  char* own_memory = at(rank);  // chosen once: each place that needs it would choose again

  FOURGE_INLINE char* own() const { return own_memory; }
  // Without an array that is indexed at run time.
  FOURGE_INLINE char* at(int r) const {
    char* p = peers[0];
#pragma unroll
    for (int i = 1; i < kRanks; ++i) {
      p = r == i ? peers[i] : p;
    }
    return p;
  }
  // Whether this rank gave up in an earlier launch: then it must not tell others anything any more, who would take it for
  // data of the call that they are in.
  FOURGE_INLINE bool gave_up() const { return control_words.get(kGaveUpWord) != 0; }
  // Whether rank r's data comes through memory.
  FOURGE_INLINE bool is_remote(int r) const { return kAlone || r != rank; }

  // Once in each CTA, when load_state() has been called: thread 0 says that the CTA has the control's values.
  // How many had before is not known until prepare_next() needs it, which may come much later.
  FOURGE_INLINE uint32 arrive() const {
    return threadIdx.x == 0 ? atomicAdd(&control->arrived, 1u) : 0u;
  }

  // With what arrive() gave: the last CTA prepares the control, which all have read, for the next launch.
  FOURGE_INLINE void prepare_next(uint32 arrived, uint32 generation, uint64 used_bytes,
                                  uint64 result_bytes) const {
    if (threadIdx.x == 0 && arrived == gridDim.x - 1) {
      store_control(&control->generation, generation);
      store_control(&control->used_bytes, used_bytes);
      store_control(&control->result_bytes, result_bytes);
      store_control(&control->calls, control_words.get(1) + 1);
      store_control(&control->arrived, 0u);
    }
  }
};

// One wait of one thread, which looks again and again.
template <class Config>
struct PeerWait {
  const PeerGroup<Config>& group;
  WaitKind kind;
  uint64 began;
  uint32 looks;

  // After a look in vain at what rank r is to send. True: wait no longer.
  FOURGE_INLINE bool is_over(int r) {
    if (++looks % kLooksForClock != 0) {
      return false;
    }
    if (load_control(&group.control->gave_up) != 0) {
      return true;
    }
    const uint64 now = device_nanoseconds();
    if (began == 0) {
      began = now;
      return false;
    }
    if (now - began <= limit()) {
      return false;
    }
    const uint32 mark = gave_up_mark(group.control_words.get(1));
    if (atomicMax(&group.control->gave_up, mark) == 0) {
      write_report(r, now - began);
    }
    return true;
  }

 private:
  // A rank's sums may be late because what it waits for is: its wait, or this rank's own for the same, is to be over
  // first, so that the report names who is the cause.
  FOURGE_INLINE uint64 limit() const {
    return kind == WaitKind::result_barrier ? group.deadline_ns + kSecondHandGraceNs
                                            : group.deadline_ns;
  }
  FOURGE_INLINE void write_report(int r, uint64 waited) const {
    const uint64 calls = group.control_words.get(1);
    store_peer(group.report + 16,
               {{static_cast<uint32>(calls), static_cast<uint32>(calls >> 32),
                 static_cast<uint32>(waited), static_cast<uint32>(waited >> 32)}});
    store_peer_release(group.report + 8,
                       static_cast<uint64>(kind) | (static_cast<uint64>(blockIdx.x) << 32));
    store_peer_release(group.report, kReportMagic | (static_cast<uint64>(r) << 32));
  }
};

}  // namespace fourge_device
