// The rows of moe_permute: how many are in use, and which tokens lie in them.
#pragma once

#include "device/global_memory.cuh"
#include "device/moe_rows.cuh"

namespace fourge_device {

enum class RowScales { none, block128 };

// None if there are more than there is room for.
FOURGE_INLINE int64 rows_in_use(const int* padded_rows, int64 capacity) {
  const int64 given = load(padded_rows);
  return given >= 0 && given <= capacity ? given : 0;
}

// The tokens of rows.
template <class Config>
struct PermuteRows {
  const int* row_entries;
  int64 used;
  uint32 entries;
  uint32 divisor;

  FOURGE_INLINE PermuteRows(const int* given, int64 rows, int64 tokens, int64 top_k)
      : row_entries(given), used(rows) {
    // Entries are below 2^31, so larger numbers need not be told apart.
    const auto limited = [](int64 n) {
      return n < 0xFFFFFFFFll ? static_cast<uint32>(n) : 0xFFFFFFFFu;
    };
    entries = limited(tokens * top_k);
    divisor = limited(Config::kIndex() == MoeIndex::padded ? top_k : tokens);
  }
  // -1 for a row that is padding or not in use.
  FOURGE_INLINE int64 token(int64 row) const {
    if (row >= used) {
      return -1;
    }
    const int entry = load(row_entries + row);
    if (entry < 0 || static_cast<uint32>(entry) >= entries) {
      return -1;
    }
    const uint32 number = static_cast<uint32>(entry);
    return Config::kIndex() == MoeIndex::padded ? number / divisor : number % divisor;
  }
};

}  // namespace fourge_device
