// moe_route_maps: see fourge/moe_route_maps.hpp for the contract.
//
// One CTA sorts by counting. Each warp has a run of entries, in the order of tokens; it counts them for
// each expert, and later hands out rows from where the warps before it end. Entries that go to the same
// expert at once find each other by a match, so that nothing depends on timing.
#pragma once

#include "device/global_memory.cuh"
#include "device/moe_rows.cuh"
#include "device/shared_array.cuh"

namespace fourge_device {

inline constexpr int kMapWarps = 16;
inline constexpr int kMapExperts = 512;

struct RouteMaps {
  const int* ids;
  int* rows;
  int* row_entries;
  int64* expert_rows;
  int* padded_rows;
  int* tile_experts;
  int* tile_limits;
  int* tiles;
  int64 tokens;
  int64 top_k;
  int64 first_expert;
  int64 experts;
  int64 tile;
  int64 capacity;
};

// The local expert of the i-th chosen, in the order of tokens; -1 if it is elsewhere or there is none.
FOURGE_INLINE int local_expert(const RouteMaps& m, int64 i, int64 end) {
  if (i >= end) {
    return -1;
  }
  const int64 expert = load(m.ids + i) - m.first_expert;
  return expert >= 0 && expert < m.experts ? static_cast<int>(expert) : -1;
}

// Calls take(i, expert, rank, count) for each chosen of the warp's run: rank among the lanes with the
// same expert, and their count. All lanes of a warp call.
template <class Take>
FOURGE_INLINE void for_each_chosen(const RouteMaps& m, const Take& take) {
  const uint32 lane = threadIdx.x & 31u;
  const int64 total = m.tokens * m.top_k;
  const int64 share = (total + kMapWarps * 32 - 1) / (kMapWarps * 32) * 32;
  const int64 begin = share * (threadIdx.x >> 5);
  const int64 end = begin + share < total ? begin + share : total;
  int next = local_expert(m, begin + lane, end);
#pragma unroll 1
  for (int64 i = begin; i < end; i += 32) {
    const int expert = next;
    next = local_expert(m, i + 32 + lane, end);
    const uint32 same = __match_any_sync(0xFFFFFFFFu, expert);
    const int rank = __popc(same & ((1u << lane) - 1u));
    take(i + lane, expert, rank, __popc(same), end);
    __syncwarp();
  }
}

// Rows of an expert with its padding.
FOURGE_INLINE int64 padded_count(int64 count, int64 tile) {
  return (count + tile - 1) / tile * tile;
}

// What is written for the local experts: lane i of the first warp takes sixteen of them. totals: of all
// warps; starts: where each expert's rows start.
FOURGE_INLINE void place_experts(const RouteMaps& m, const SharedArray<int, kMapExperts>& totals,
                                 SharedArray<int, kMapExperts>& starts) {
  constexpr int kEach = kMapExperts / 32;
  const int lane = static_cast<int>(threadIdx.x);
  int64 own = 0;
#pragma unroll 1
  for (int i = 0; i < kEach; ++i) {
    own += padded_count(totals.get(lane * kEach + i), m.tile);
  }
  int64 until = own;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const int64 before = __shfl_up_sync(0xFFFFFFFFu, until, distance);
    until += lane >= distance ? before : 0;
  }
  const int64 all = __shfl_sync(0xFFFFFFFFu, until, 31);
  const bool fits = all <= m.capacity;
  int64 start = until - own;
#pragma unroll 1
  for (int i = 0; i < kEach; ++i) {
    const int expert = lane * kEach + i;
    const int64 count = totals.get(expert);
    starts.set(expert, fits ? static_cast<int>(start) : -1);
    if (expert < m.experts) {
      store(m.expert_rows + expert, fits ? start : 0);
      if (fits && m.tile_experts != nullptr) {
        for (int64 tile = 0; tile * m.tile < count; ++tile) {
          const int64 index = start / m.tile + tile;
          const int64 next = (index + 1) * m.tile;
          store(m.tile_experts + index, expert);
          store(m.tile_limits + index,
                static_cast<int>(next < start + count ? next : start + count));
        }
      }
    }
    start += padded_count(count, m.tile);
  }
  if (lane == 0) {
    store(m.expert_rows + m.experts, fits ? all : 0);
    store(m.padded_rows, fits ? static_cast<int>(all) : 0);
    if (m.tile_experts != nullptr) {
      store(m.tiles, fits ? static_cast<int>(all / m.tile) : 0);
    }
  }
}

template <class Config>
FOURGE_INLINE void moe_route_maps_kernel(const int* ids, int* rows, int* row_entries,
                                         int64* expert_rows, int* padded_rows, int* tile_experts,
                                         int* tile_limits, int* tiles, int64 tokens, int64 top_k,
                                         int64 first_expert, int64 experts, int64 tile,
                                         int64 capacity) {
  __shared__ SharedArray<int, kMapWarps * kMapExperts> counts;
  __shared__ SharedArray<int, kMapExperts> totals;
  __shared__ SharedArray<int, kMapExperts> starts;
  const RouteMaps m{ids,          rows,        row_entries, expert_rows, padded_rows,
                    tile_experts, tile_limits, tiles,       tokens,      top_k,
                    first_expert, experts,     tile,        capacity};
  const int warp = static_cast<int>(threadIdx.x >> 5);
  const int thread = static_cast<int>(threadIdx.x);

  wait_for_predecessor<Config>();
  for (int i = thread; i < kMapWarps * kMapExperts; i += 32 * kMapWarps) {
    counts.set(i, 0);
  }
  for (int64 i = thread; i < capacity; i += 32 * kMapWarps) {
    store(row_entries + i, -1);
  }
  __syncthreads();
  for_each_chosen(m, [&](int64, int expert, int rank, int count, int64) {
    if (expert >= 0 && rank == 0) {
      const int at = warp * kMapExperts + expert;
      counts.set(at, counts.get(at) + count);
    }
  });
  __syncthreads();
  // Of each expert the rows of the warps before.
  int total = 0;
  for (int w = 0; w < kMapWarps; ++w) {
    const int at = w * kMapExperts + thread;
    const int count = counts.get(at);
    counts.set(at, total);
    total += count;
  }
  totals.set(thread, total);
  __syncthreads();
  if (warp == 0) {
    place_experts(m, totals, starts);
  }
  __syncthreads();
  for_each_chosen(m, [&](int64 i, int expert, int rank, int count, int64 end) {
    if (i < end) {
      const int64 token = i / top_k;
      const int64 entry = entry_of_token<Config::kIndex>(token, i - token * top_k, tokens, top_k);
      int row = -1;
      if (expert >= 0 && starts.get(expert) >= 0) {
        row = starts.get(expert) + counts.get(warp * kMapExperts + expert) + rank;
        store(row_entries + row, static_cast<int>(entry));
      }
      store(rows + entry, row);
    }
    __syncwarp();
    if (expert >= 0 && rank == 0) {
      const int at = warp * kMapExperts + expert;
      counts.set(at, counts.get(at) + count);
    }
  });
}

}  // namespace fourge_device
