// moe_permute with by=token: a row of x is read once and written to all its places, where by rows it is read for each.
//
// A CTA of one warp has a piece of a token's row copied to shared memory (grid x runs over tokens, y over pieces), and
// from there to each of the token's rows, all by the copy engine. Other CTAs, in turns with these, copy scales: a few
// blocks of all rows, 128 at a time, before the next blocks, so that what is written at a time lies together, as
// the scales of neighbouring rows do. A CTA that did both would wait for its loads behind the stores of others.
#pragma once

#include "device/bulk_copy.cuh"
#include "device/permute_rows.cuh"

namespace fourge_device {

// Of an item of scales; the launch rule has the same.
enum : int { kItemRows = 4 };  // a lane
enum : int { kItemBlocks = 4 };

// What a CTA is there for: those for tokens, as many as there are, and the others of grid x take turns.
struct PermuteTurn {
  bool scales;
  int64 index;   // among its kind
  int64 others;  // CTAs for scales

  FOURGE_INLINE explicit PermuteTurn(int64 tokens)
      : scales(false), index(blockIdx.x), others(static_cast<int64>(gridDim.x) - tokens) {
    const int64 pairs = tokens < others ? tokens : others;
    if (index < 2 * pairs) {
      scales = (index & 1) != 0;
      index >>= 1;
    } else {
      scales = others > tokens;
      index -= pairs;
    }
  }
};

template <class Config>
FOURGE_INLINE void permute_scale_items(const float* x_scales, float* y_scales,
                                       const PermuteRows<Config>& rows, const PermuteTurn& turn,
                                       int64 blocks, int64 tokens) {
  const uint32 groups = static_cast<uint32>((rows.used + (32 * kItemRows - 1)) / (32 * kItemRows));
  const int64 items = groups * ((blocks + (kItemBlocks - 1)) / kItemBlocks);
#pragma unroll 1
  for (int64 item = turn.index + blockIdx.y * turn.others; item < items;
       item += turn.others * gridDim.y) {
    const int64 part = static_cast<int64>(static_cast<uint64>(item) / groups);
    const int64 first = (item - part * groups) * (32 * kItemRows) + threadIdx.x;
    const int64 block = part * kItemBlocks;
    int64 token[kItemRows];
    float scales[kItemRows][kItemBlocks];
#pragma unroll
    for (int i = 0; i < kItemRows; ++i) {
      token[i] = rows.token(first + i * 32);
    }
#pragma unroll
    for (int i = 0; i < kItemRows; ++i) {
#pragma unroll
      for (int k = 0; k < kItemBlocks; ++k) {
        scales[i][k] = token[i] >= 0 && block + k < blocks
                           ? load(x_scales + (block + k) * tokens + token[i])
                           : 0.0f;
      }
    }
#pragma unroll
    for (int k = 0; k < kItemBlocks; ++k) {
#pragma unroll
      for (int i = 0; i < kItemRows; ++i) {
        if (first + i * 32 < rows.used && block + k < blocks) {
          store(y_scales + (block + k) * rows.used + first + i * 32, scales[i][k]);
        }
      }
    }
  }
}

template <class Config>
FOURGE_INLINE void permute_by_token(const void* x, const float* x_scales, void* y, float* y_scales,
                                    const int* row_entries, const int* padded_rows, int64 tokens,
                                    int64 top_k, int64 cols, int64 capacity,
                                    const int* token_rows) {
  __shared__ uint64 barrier;
  const int64 row_bytes = cols * Config::kBytes();
  // At most 2^26, see the launch rule.
  const uint32 units = static_cast<uint32>(row_bytes / 16);
  const uint32 most = (units + (gridDim.y - 1)) / gridDim.y;
  const uint32 first = blockIdx.y * most;
  const uint32 bytes = first >= units ? 0 : (units - first < most ? units - first : most) * 16;
  const int64 begin = static_cast<int64>(first) * 16;
  const PermuteTurn turn(tokens);

  const SharedRow piece(0);
  BulkCopy copy(barrier, piece);
  wait_for_predecessor<Config, true>();
  const PermuteRows<Config> rows(row_entries, rows_in_use(padded_rows, capacity), tokens, top_k);
  if constexpr (Config::kScales() == RowScales::block128) {
    if (turn.scales) {
      permute_scale_items<Config>(x_scales, y_scales, rows, turn, cols / 128, tokens);
      return;
    }
  }
  if (bytes == 0) {
    return;
  }
  const int64 token = turn.index;
  const uint32 asks = kept(threadIdx.x == 0 ? 1u : 0u);
  if_seldom(asks != 0,
            [&] { copy.ask(static_cast<const char*>(x) + token * row_bytes + begin, bytes); });
  const auto row_of = [&](int64 j) -> int64 {
    return j < top_k ? load(token_rows + entry_of_token<Config::kIndex()>(token, j, tokens, top_k))
                     : -1;
  };
  int64 row = row_of(threadIdx.x);
  __syncthreads();
  copy.wait();
#pragma unroll 1
  for (int64 j = threadIdx.x;; row = row_of(j)) {
    if (row >= 0 && row < rows.used) {
      bulk_store_once(static_cast<char*>(y) + row * row_bytes + begin, piece, bytes);
    }
    j += 32;
    if (j >= top_k) {
      break;
    }
  }
  bulk_stores_read();
}

}  // namespace fourge_device
