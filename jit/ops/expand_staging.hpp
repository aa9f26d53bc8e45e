// The launch of moe_expand_quantize with staging=on: CTAs draw items of work, which are tokens to quantize,
// then rows of scales to bring from the workspace to their tiles. Any number of CTAs does all of it.
#pragma once

#include <fourge/op_definition.hpp>

#include <cstdint>

namespace fourge::jit {

struct ExpandStagingSizes {
  std::int64_t tokens;
  std::int64_t lanes;  // that a token's columns take, 16 each, padding of the scales included
  std::int64_t scale_rows;
  std::int64_t scale_columns;
  bool whole_tokens;          // a CTA takes all columns of its tokens
  std::int64_t running_ctas;  // of kExpandStagingThreads that the device runs at a time
};

struct ExpandStagingGrid {
  std::int64_t threads;
  std::int64_t ctas;
};

ExpandStagingGrid expand_staging_grid(const ExpandStagingSizes& sizes);

inline constexpr int kExpandStagingThreads = 224;
inline constexpr std::int64_t kMostStagedColumns = std::int64_t{1} << 30;
inline constexpr std::int64_t kMostStagedRows = std::int64_t{1} << 31;
inline constexpr std::int64_t kMostStagedExperts = std::int64_t{1} << 24;

// Counters come first; then a token's scales begin at a multiple of 32 bytes.
inline constexpr std::int64_t kExpandWorkspaceHeader = 512;
inline constexpr std::int64_t kExpandWorkspacePitch = 32;

}  // namespace fourge::jit
