#include <fourge/moe_route_maps.hpp>

#include "tests/jit/op_args.hpp"

using namespace fourge;
using namespace fourge::tests;
using Args = MoeRouteMapsArgs;

namespace {

Args good_args() {
  Args args;
  args.ids = at<std::int32_t>(0x1000);
  args.rows = at<std::int32_t>(0x2000);
  args.row_entries = at<std::int32_t>(0x3000);
  args.expert_rows = at<std::int64_t>(0x4000);
  args.padded_rows = at<std::int32_t>(0x5000);
  args.tile_experts = at<std::int32_t>(0x6000);
  args.tile_limits = at<std::int32_t>(0x7000);
  args.tiles = at<std::int32_t>(0x8000);
  args.tokens = 5;
  args.top_k = 4;
  args.experts = 8;
  args.tile = 16;
  args.capacity = 130;
  return args;
}

bool refused(const std::string& part, const std::function<void(Args&)>& change,
             const std::string& axes = "") {
  const std::string text = refusal_with_axes<Args>(axes, good_args(), change);
  INFO(text);
  CHECK(mentions(text, part));
  return mentions(text, part);
}

}  // namespace

TEST_CASE("moe maps: bad arguments are refused by name", "[moe-route]") {
  CHECK(refused("accepted", [](Args&) {}));
  CHECK(refused("ids is a null", [](Args& a) { a.ids = nullptr; }));
  CHECK(refused("rows is a null", [](Args& a) { a.rows = nullptr; }));
  CHECK(refused("accepted", [](Args& a) {
    a.tokens = 0;
    a.ids = nullptr;
    a.rows = nullptr;
  }));
  CHECK(refused("row_entries is", [](Args& a) { a.row_entries = at<std::int32_t>(0x3002); }));
  CHECK(refused("expert_rows is", [](Args& a) { a.expert_rows = at<std::int64_t>(0x4004); }));
  CHECK(refused("padded_rows is a null", [](Args& a) { a.padded_rows = nullptr; }));
  CHECK(refused("tile_experts is a null", [](Args& a) { a.tile_experts = nullptr; }));
  CHECK(refused("tile_limits is a null", [](Args& a) { a.tile_limits = nullptr; }));
  CHECK(refused("tiles is a null", [](Args& a) { a.tiles = nullptr; }));
  CHECK(refused("accepted", [](Args& a) { a.tile_experts = a.tile_limits = a.tiles = nullptr; }));
  CHECK(refused("tokens is -1", [](Args& a) { a.tokens = -1; }));
  CHECK(
      refused("tokens is 262144; it must be from 0 to 262143", [](Args& a) { a.tokens = 262144; }));
  CHECK(refused("top_k is 33", [](Args& a) { a.top_k = 33; }));
  CHECK(refused("experts is 513", [](Args& a) { a.experts = 513; }));
  CHECK(refused("first_expert is -1", [](Args& a) { a.first_expert = -1; }));
  CHECK(refused("tile is 0", [](Args& a) { a.tile = 0; }));
  CHECK(refused(
      "tile is 16; it must be from 1 to 1", [](Args&) {}, "[index=compact]"));
  CHECK(refused("capacity is -1", [](Args& a) { a.capacity = -1; }));
  CHECK(refused("capacity is 2147483648", [](Args& a) { a.capacity = 2147483648; }));
}

TEST_CASE("moe maps: CTAs by entries and rows", "[moe-route]") {
  Args args = good_args();
  const auto ctas = [&args](std::int64_t tokens, std::int64_t top_k, std::int64_t capacity) {
    args.tokens = tokens;
    args.top_k = top_k;
    args.capacity = capacity;
    const auto shape = launch("moe_route_maps@sm_90a", args);
    CHECK(shape.block[0] == 512);
    CHECK(shape.grid[1] == 1);
    return shape.grid[0];
  };
  CHECK(ctas(0, 1, 0) == 1);
  CHECK(ctas(1, 8, 1024) == 1);
  CHECK(ctas(1023, 8, 2000) == 1);
  CHECK(ctas(1024, 8, 2000) == 2);
  CHECK(ctas(16384, 8, 163840) == 32);
  CHECK(ctas(32767, 32, 2000000) == 64);
  CHECK(ctas(1, 1, 2147483647) == 64);
}

TEST_CASE("moe maps: exact regions, a capacity that suffices", "[moe-route]") {
  Args args = good_args();
  const auto list = regions("moe_route_maps@sm_90a", args);
  REQUIRE(list.size() == 8);
  CHECK(list[0].bytes == 80);
  CHECK(list[2].bytes == 520);
  CHECK(list[3].bytes == 72);
  CHECK(list[5].bytes == 32);
  args.tile_experts = args.tile_limits = nullptr;
  CHECK(regions("moe_route_maps@sm_90a", args).size() == 5);
  args.tokens = 0;
  CHECK_FALSE(launch("moe_route_maps@sm_90a", args).empty);
  CHECK(moe::route_capacity(5, 4, 8, 16) == 8 * 16);
  CHECK(moe::route_capacity(1, 2, 8, 16) == 2 * 16);
  CHECK(moe::route_capacity(100, 1, 2, 64) == 3 * 64);
  CHECK(moe::route_capacity(0, 4, 8, 16) == 0);
  CHECK(moe::route_capacity(5, 4, 8, 1) == 20);
  CHECK(moe::route_capacity(5, 4, 0, 16) == 0);
}
