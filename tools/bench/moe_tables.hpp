// A routing of tokens to experts for benchmarks, drawn evenly, and the maps that follow from it.
#pragma once

#include <cstdint>
#include <vector>

namespace fourge::tools {

inline constexpr std::int64_t kBenchTopK = 8;
inline constexpr std::int64_t kBenchExperts = 256;
// Rows that an expert's rows are padded to, in the padded convention.
inline constexpr std::int64_t kBenchTile = 8;

struct MoeTables {
  std::vector<std::int32_t> ids;      // [tokens][top_k], distinct in a token
  std::vector<std::int32_t> rows;     // of each entry
  std::vector<std::int32_t> entries;  // [capacity], of each row; -1 for padding
  std::vector<std::int64_t> expert_rows;
  std::int64_t used = 0;
  std::int64_t capacity = 0;
};

// padded: entry token * top_k + j, experts at multiples of kBenchTile; otherwise entry j * tokens +
// token, rows without padding. The same for the same arguments.
MoeTables make_moe_tables(std::int64_t tokens, bool padded);

}  // namespace fourge::tools
