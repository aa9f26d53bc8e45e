// moe_route_maps: see fourge/moe_route_maps.hpp for the contract.
//
// A stable counting sort. Each CTA has a chunk of the entries, in the order of tokens, and each of its
// warps a run of that. A CTA needs to know of every expert how many entries all have and how many lie
// before its chunk: it counts them itself, over all entries, so that CTAs do not wait for one another.
// (Ids are few and stay in the L2 cache.) Counts do not depend on the order of additions. Then each warp
// hands out rows from where what lies before it ends; entries that go to the same expert at once find
// each other by a match. So nothing depends on timing.
#pragma once

#include "device/global_memory.cuh"
#include "device/moe_rows.cuh"
#include "device/shared_array.cuh"

namespace fourge_device {

enum : int { kMapWarps = 16 };
enum : int { kMapThreads = 32 * kMapWarps };
enum : int { kMapExperts = kMapThreads };  // a thread for each

// Numbers of entries and rows in use fit into an int.
struct RouteMaps {
  const int* ids;
  int* rows;
  int* row_entries;
  int64* expert_rows;
  int* padded_rows;
  int* tile_experts;
  int* tile_limits;
  int* tiles;
  int tokens;
  int top_k;
  int first_expert;
  int experts;
  int tile;
  int64 capacity;
};

struct MapRange {
  int begin;
  int end;
};

using MapCounts = SharedArray<int, kMapExperts>;
using MapWarpCounts = SharedArray<int, kMapWarps * kMapExperts>;

template <int kCount>
FOURGE_INLINE void add_shared(SharedArray<int, kCount>& counts, int at) {
  atomicAdd(&counts.items[at], 1);
}

// The part of a range that falls to one of so many, in multiples of 32.
FOURGE_INLINE MapRange part_of(MapRange range, int index, int parts) {
  const int share = ((range.end - range.begin) / 32 / parts + 1) * 32;
  const int begin = range.begin + share * index;
  const int end = begin + share;
  return {begin < range.end ? begin : range.end, end < range.end ? end : range.end};
}

// The local expert of the i-th chosen, in the order of tokens; -1 if it is elsewhere or there is none.
FOURGE_INLINE int local_expert(const RouteMaps& m, int i, int end) {
  if (i >= end) {
    return -1;
  }
  const int id = load(m.ids + i);
  const uint32 expert = static_cast<uint32>(id) - static_cast<uint32>(m.first_expert);
  return id >= m.first_expert && expert < static_cast<uint32>(m.experts) ? static_cast<int>(expert)
                                                                         : -1;
}

// Counts a range into counts from `at` on, with so many threads of which this is one.
template <int kCount>
FOURGE_INLINE void count_range(const RouteMaps& m, MapRange range, int thread, int threads,
                               SharedArray<int, kCount>& counts, int at) {
  constexpr int kInFlight = 8;
#pragma unroll 1
  for (int i = range.begin + thread; i < range.end; i += kInFlight * threads) {
    int experts[kInFlight];
#pragma unroll
    for (int u = 0; u < kInFlight; ++u) {
      experts[u] = local_expert(m, i + u * threads, range.end);
    }
#pragma unroll
    for (int u = 0; u < kInFlight; ++u) {
      if (experts[u] >= 0) {
        add_shared(counts, at + experts[u]);
      }
    }
  }
}

FOURGE_INLINE int padded_count(int count, int tile) { return (count + tile - 1) / tile * tile; }

// The sum of value over the threads before this one; all: over all threads.
FOURGE_INLINE int sum_before(int value, SharedArray<int, kMapWarps>& scratch, int& all) {
  const int lane = static_cast<int>(threadIdx.x & 31u);
  const int warp = static_cast<int>(threadIdx.x >> 5);
  int until = value;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const int before = __shfl_up_sync(0xFFFFFFFFu, until, distance);
    until += lane >= distance ? before : 0;
  }
  if (lane == 31) {
    scratch.set(warp, until);
  }
  __syncthreads();
  int sum = until - value;
  all = 0;
#pragma unroll 1
  for (int w = 0; w < kMapWarps; ++w) {
    const int of_warp = scratch.get(w);
    sum += w < warp ? of_warp : 0;
    all += of_warp;
  }
  return sum;
}

// The expert whose rows a row in use is among: the last one that starts there or before.
FOURGE_INLINE int expert_of_row(const MapCounts& starts, int row) {
  int expert = 0;
#pragma unroll
  for (int step = kMapExperts / 2; step > 0; step /= 2) {
    expert += starts.get(expert + step) <= row ? step : 0;
  }
  return expert;
}

// What is written for experts and tiles, and the rows without an entry. All CTAs share it. used: rows,
// 0 if they are more than there are.
FOURGE_INLINE void describe_rows(const RouteMaps& m, const MapCounts& totals,
                                 const MapCounts& starts, int used) {
  const int thread = static_cast<int>(blockIdx.x * kMapThreads + threadIdx.x);
  const int threads = static_cast<int>(gridDim.x) * kMapThreads;
  if (thread < m.experts) {
    store(m.expert_rows + thread, static_cast<int64>(used == 0 ? 0 : starts.get(thread)));
  }
  if (thread == 0) {
    store(m.expert_rows + m.experts, static_cast<int64>(used));
    store(m.padded_rows, used);
    if (m.tile_experts != nullptr) {
      store(m.tiles, used / m.tile);
    }
  }
  if (m.tile_experts != nullptr) {
#pragma unroll 1
    for (int tile = thread; tile < used / m.tile; tile += threads) {
      const int expert = expert_of_row(starts, tile * m.tile);
      const int end = starts.get(expert) + totals.get(expert);
      const int next = (tile + 1) * m.tile;
      store(m.tile_experts + tile, expert);
      store(m.tile_limits + tile, next < end ? next : end);
    }
  }
#pragma unroll 1
  for (int expert = thread >> 5; used > 0 && expert < m.experts; expert += threads >> 5) {
    const int end = starts.get(expert) + padded_count(totals.get(expert), m.tile);
    for (int row = starts.get(expert) + totals.get(expert) + (thread & 31); row < end; row += 32) {
      store(m.row_entries + row, -1);
    }
  }
#pragma unroll 1
  for (int64 row = used + thread; row < m.capacity; row += threads) {
    store(m.row_entries + row, -1);
  }
}

// Gives the entries of a warp's run their rows. counts: how many of each expert lie before the run; it
// goes on to the run's end. All lanes of a warp call.
template <class Config>
FOURGE_INLINE void place_entries(const RouteMaps& m, MapRange run, const MapCounts& starts,
                                 MapWarpCounts& counts, bool fits) {
  const int lane = static_cast<int>(threadIdx.x & 31u);
  const int first = static_cast<int>(threadIdx.x >> 5) * kMapExperts;
  int next = local_expert(m, run.begin + lane, run.end);
#pragma unroll 1
  for (int base = run.begin; base < run.end; base += 32) {
    const int i = base + lane;
    const int expert = next;
    next = local_expert(m, i + 32, run.end);
    const uint32 same = __match_any_sync(0xFFFFFFFFu, expert);
    const int rank = __popc(same & ((1u << lane) - 1u));
    const int before = expert >= 0 ? counts.get(first + expert) : 0;
    if (i < run.end) {
      const int token = i / m.top_k;
      const int64 entry =
          entry_of_token<Config::kIndex()>(token, i - token * m.top_k, m.tokens, m.top_k);
      const int row = expert >= 0 && fits ? starts.get(expert) + before + rank : -1;
      if (row >= 0) {
        store(m.row_entries + row, static_cast<int>(entry));
      }
      store(m.rows + entry, row);
    }
    __syncwarp();
    if (expert >= 0 && rank == 0) {
      counts.set(first + expert, before + __popc(same));
    }
    __syncwarp();
  }
}

template <class Config>
FOURGE_INLINE void moe_route_maps_kernel(const int* ids, int* rows, int* row_entries,
                                         int64* expert_rows, int* padded_rows, int* tile_experts,
                                         int* tile_limits, int* tiles, int64 tokens, int64 top_k,
                                         int64 first_expert, int64 experts, int64 tile,
                                         int64 capacity) {
  __shared__ MapWarpCounts counts;
  __shared__ MapCounts before;  // entries of each expert before the CTA's chunk
  __shared__ MapCounts totals;  // at first: of those behind it
  __shared__ MapCounts starts;
  __shared__ SharedArray<int, kMapWarps> scratch;
  const RouteMaps m{ids,
                    rows,
                    row_entries,
                    expert_rows,
                    padded_rows,
                    tile_experts,
                    tile_limits,
                    tiles,
                    static_cast<int>(tokens),
                    static_cast<int>(top_k),
                    static_cast<int>(first_expert),
                    static_cast<int>(experts),
                    static_cast<int>(tile),
                    capacity};
  const int warp = static_cast<int>(threadIdx.x >> 5);
  const int thread = static_cast<int>(threadIdx.x);
  const MapRange all{0, m.tokens * m.top_k};
  const MapRange chunk = part_of(all, static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x));
  const MapRange run = part_of(chunk, warp, kMapWarps);

  wait_for_predecessor<Config>();
  for (int i = thread; i < kMapWarps * kMapExperts; i += kMapThreads) {
    counts.set(i, 0);
  }
  before.set(thread, 0);
  totals.set(thread, 0);
  __syncthreads();
  count_range(m, {0, chunk.begin}, thread, kMapThreads, before, 0);
  count_range(m, {chunk.end, all.end}, thread, kMapThreads, totals, 0);
  count_range(m, run, thread & 31, 32, counts, warp * kMapExperts);
  __syncthreads();
  // Each thread has an expert: what lies before each run, and the total.
  int count = before.get(thread);
#pragma unroll 1
  for (int w = 0; w < kMapWarps; ++w) {
    const int of_run = counts.get(w * kMapExperts + thread);
    counts.set(w * kMapExperts + thread, count);
    count += of_run;
  }
  count += totals.get(thread);
  totals.set(thread, count);
  int used = 0;
  starts.set(thread, sum_before(padded_count(count, m.tile), scratch, used));
  __syncthreads();
  const bool fits = used <= capacity;
  describe_rows(m, totals, starts, fits ? used : 0);
  place_entries<Config>(m, run, starts, counts, fits);
}

}  // namespace fourge_device
