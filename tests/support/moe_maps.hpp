// Made-up routings of tokens to experts and the row maps that follow from them, independent of the
// operation that makes maps on a device.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fourge::tests {

struct Routing {
  std::string label;
  std::int64_t tokens = 0;
  std::int64_t top_k = 1;
  std::int64_t experts = 1;
  std::int64_t first_local = 0;  // experts [first_local, first_local + locals) are here
  std::int64_t locals = 1;
  std::vector<std::int64_t> ids;  // [tokens][top_k], distinct in a token
};

// Each token draws top_k of the experts.
Routing random_routing(std::int64_t tokens, std::int64_t top_k, std::int64_t experts,
                       std::int64_t first_local, std::int64_t locals, std::uint64_t seed);
// top_k = 1: the first counts[0] tokens go to expert 0, and so on; all experts are local.
Routing counted_routing(std::vector<std::int64_t> counts);

// No tokens; one; experts elsewhere only; one expert with everything; 127, 128 and 129 rows; some of
// the experts elsewhere; all here.
std::vector<Routing> usual_routings();

enum class IndexConvention {
  padded,   // entry token * top_k + j; experts start at multiples of the tile
  compact,  // entry j * tokens + token; rows without padding
};

struct RowMaps {
  std::vector<std::int32_t> rows;         // of each entry; -1 if its expert is elsewhere
  std::vector<std::int32_t> entries;      // of each row below capacity; -1 if there is none
  std::vector<std::int64_t> expert_rows;  // [locals + 1], where each expert's rows start
  std::int64_t used = 0;                  // rows in use, padding of the experts included
  std::int64_t capacity = 0;              // `used` and some more
};

// Rows of an expert in the order of the tokens. tile: 1 for compact.
RowMaps make_row_maps(const Routing& routing, IndexConvention convention, std::int64_t tile);

// The token that an entry of the map belongs to.
std::int64_t token_of_entry(const Routing& routing, IndexConvention convention, std::int64_t entry);

}  // namespace fourge::tests
