// The maps between expanded tokens and rows that follow from a routing: a stable counting sort by expert,
// in the order of tokens within an expert, so that the same routing gives the same maps. Launched after
// moe_route_topk, whose ids it takes, on the same stream; nothing is read back.
//
//   ids          int32 [tokens, top_k]: the expert of each expanded token; those in [first_expert,
//                first_expert + experts), the local ones, get rows
//   rows         int32 [tokens * top_k]: the row of each entry, -1 if its expert is not local
//   row_entries  int32 [capacity]: the entry of each row, -1 for padding and for rows not in use. All of
//                it is written
//   expert_rows  int64 [experts + 1]: the first row of each local expert, and the end of the last
//   padded_rows  int32 [1]: rows in use, with padding
//   tile_experts, tile_limits   int32 [capacity / tile], both null or neither: of each tile in use its
//                local expert, and the end of that expert's rows or of the tile, whichever is lower
//                (tiles not in use are not written)
//   tiles        int32 [1]: tiles in use; not looked at without tile_experts
//   Axis index: padded   entry = token * top_k + j; each expert has whole tiles of `tile` rows
//               compact  entry = j * tokens + token; tile must be 1
//   capacity     rows; moe::route_capacity() of them always suffice. If they do not, no entry gets a row,
//                and padded_rows, tiles and expert_rows are 0
//   tokens >= 0; 1 <= top_k <= 32; tokens * top_k < 2^20; 0 <= experts <= 512; tile >= 1, at most 65536;
//   capacity below 2^31. A token's ids must be distinct.
//
// All are row-major, dense, aligned to their elements, and integers: there is no arithmetic to round. With
// no tokens it is launched all the same: the maps say that there are none. Calls are asynchronous on the
// caller's stream; outputs must not overlap ids or each other.
// Streams, threads and errors: <fourge/kernel.hpp>.
#pragma once

#include <fourge/export.hpp>
#include <fourge/op_definition.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fourge {

struct MoeRouteMapsArgs {
  static constexpr std::string_view kOp = "moe_route_maps";

  const std::int32_t* ids = nullptr;
  std::int32_t* rows = nullptr;
  std::int32_t* row_entries = nullptr;
  std::int64_t* expert_rows = nullptr;
  std::int32_t* padded_rows = nullptr;
  std::int32_t* tile_experts = nullptr;
  std::int32_t* tile_limits = nullptr;
  std::int32_t* tiles = nullptr;
  std::int64_t tokens = 0;
  std::int64_t top_k = 1;
  std::int64_t first_expert = 0;
  std::int64_t experts = 1;
  std::int64_t tile = 1;
  std::int64_t capacity = 0;
};

FOURGE_API const OpDefinition& moe_route_maps_op();

namespace moe {

// Rows that suffice for any routing: tiles of min(experts, n) experts with a row each, and of the rest.
FOURGE_API std::int64_t route_capacity(std::int64_t tokens, std::int64_t top_k,
                                       std::int64_t experts, std::int64_t tile);

}  // namespace moe
}  // namespace fourge
