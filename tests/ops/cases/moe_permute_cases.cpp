#include "tests/ops/cases/moe_permute_cases.hpp"

#include <fourge/moe_permute.hpp>

#include "reference/moe_permute.hpp"
#include "tests/support/moe_maps.hpp"

#include <bit>
#include <random>

namespace fourge::tests {
namespace {

OpCall make_call(const KernelSpec& spec, const Routing& routing, std::int64_t cols,
                 std::uint64_t seed) {
  const bool padded = spec.get("index") == "padded";
  const bool scaled = spec.get("scales") == "block128";
  const bool by_token = spec.get("by") == "token";
  const auto convention = padded ? IndexConvention::padded : IndexConvention::compact;
  RowMaps maps = make_row_maps(routing, convention, padded ? 8 : 1);
  const auto row_bytes = static_cast<std::size_t>(cols * (spec.get("bits") == "8" ? 1 : 2));
  const auto tokens = static_cast<std::size_t>(routing.tokens);
  const auto blocks = static_cast<std::size_t>(scaled ? cols / 128 : 0);

  std::mt19937_64 random(seed);
  std::vector<std::uint8_t> x(tokens * row_bytes);
  for (std::uint8_t& byte : x) {
    byte = static_cast<std::uint8_t>(random());
  }
  std::vector<float> x_scales(tokens * blocks);
  for (float& scale : x_scales) {
    scale = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
  }
  std::vector<std::int64_t> row_tokens;
  for (std::int64_t r = 0; r < maps.used; ++r) {
    const std::int32_t entry = maps.entries[static_cast<std::size_t>(r)];
    row_tokens.push_back(entry < 0 ? -1 : token_of_entry(routing, convention, entry));
  }
  const auto capacity = static_cast<std::size_t>(maps.capacity);
  std::vector<std::uint8_t> y(capacity * row_bytes, kPoison);
  std::vector<float> y_scales(capacity * blocks, std::bit_cast<float>(0xA5A5A5A5U));
  reference::permute_block_scales(x_scales, row_tokens, tokens, blocks, y_scales);
  // The last entry that has a row is sent beyond those in use.
  for (auto entry = maps.rows.rbegin(); by_token && seed % 2 == 1 && entry != maps.rows.rend();
       ++entry) {
    if (*entry >= 0) {
      row_tokens[static_cast<std::size_t>(*entry)] = -1;
      *entry = static_cast<std::int32_t>(maps.used);
      break;
    }
  }
  reference::permute_rows(x, row_tokens, row_bytes, y);
  const std::vector<std::int32_t> used{static_cast<std::int32_t>(maps.used)};

  OpCall call{spec,
              routing.label + ", cols " + std::to_string(cols),
              {input_buffer("x", x), input_buffer("x_scales", x_scales), output_buffer("y", y),
               output_buffer("y_scales", y_scales), input_buffer("row_entries", maps.entries),
               input_buffer("padded_rows", used), input_buffer("rows", maps.rows)},
              {},
              {}};
  call.args = [tokens = routing.tokens, top_k = routing.top_k, cols,
               rows = maps.capacity](std::span<std::uint8_t* const> at) {
    return args_bytes(MoePermuteArgs{
        at[0], reinterpret_cast<const float*>(at[1]), at[2], reinterpret_cast<float*>(at[3]),
        reinterpret_cast<const std::int32_t*>(at[4]), reinterpret_cast<const std::int32_t*>(at[5]),
        tokens, top_k, cols, rows, reinterpret_cast<const std::int32_t*>(at[6])});
  };
  return call;
}

}  // namespace

void visit_moe_permute_calls(const KernelSpec& spec, CallSize size, const CallSink& sink) {
  std::uint64_t seed = 60;
  const auto visit = [&](const Routing& routing, std::int64_t cols) {
    sink(make_call(spec, routing, cols, ++seed));
  };
  if (size == CallSize::large) {
    visit(random_routing(1025, 8, 64, 16, 32, 6), 7168);
    // More groups of rows than the grid has in y.
    visit(random_routing(140000, 2, 16, 0, 16, 7), 128);
    // By token: more items of scales than CTAs for them.
    if (spec.get("by") == "token" && spec.get("scales") == "block128" && spec.get("bits") == "8") {
      visit(random_routing(8, 8, 64, 0, 64, 12), 128000);
    }
    return;
  }
  for (const Routing& routing : usual_routings()) {
    visit(routing, 384);
  }
  visit(random_routing(5, 2, 4, 0, 3, 8), 2176);
  visit(random_routing(2, 2, 4, 0, 4, 13), 20480);
  if (spec.get("scales") == "none") {
    visit(random_routing(5, 2, 4, 0, 3, 9), 16);
    visit(random_routing(5, 2, 4, 0, 3, 9), 2000);
    // Pieces of a row that are not alike; more experts than lanes.
    visit(random_routing(3, 2, 4, 0, 4, 10), 20000);
    visit(random_routing(7, 40, 64, 8, 48, 11), 48);
  }
}

}  // namespace fourge::tests
