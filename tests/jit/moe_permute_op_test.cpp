#include <fourge/kernel_spec.hpp>
#include <fourge/moe_permute.hpp>

#include "tests/jit/op_args.hpp"
#include "tests/support/catch.hpp"

#include <functional>

using Args = fourge::MoePermuteArgs;

namespace {

using fourge::tests::at;
using fourge::tests::launch;
using fourge::tests::mentions;
using fourge::tests::refusal_of_spec;
using fourge::tests::regions;

Args good_args() {
  return {at<void>(0x1000),
          at<float>(0x2000),
          at<void>(0x3000),
          at<float>(0x4000),
          at<std::int32_t>(0x5000),
          at<std::int32_t>(0x6000),
          5,
          3,
          256,
          40,
          at<std::int32_t>(0x7000)};
}

std::string refusal(const std::function<void(Args&)>& change,
                    const std::string& axes = "[scales=block128]") {
  return fourge::tests::refusal_with_axes(axes, good_args(), change);
}

}  // namespace

TEST_CASE("moe_permute: bad arguments are refused by name", "[moe]") {
  CHECK(refusal([](Args&) {}) == "accepted");
  CHECK(refusal([](Args& a) { a.capacity = 0, a.y = nullptr; }) == "accepted");
  CHECK(refusal([](Args& a) { a.tokens = 0, a.x = nullptr, a.x_scales = nullptr; }) == "accepted");
  CHECK(refusal([](Args& a) { a.x_scales = a.y_scales = nullptr; }, "") == "accepted");
  CHECK(mentions(refusal([](Args& a) { a.cols = 192; }), "cols is 192"));
  CHECK(refusal([](Args& a) { a.cols = 8; }, "[bits=16]") == "accepted");
  CHECK(mentions(refusal([](Args& a) { a.cols = 8; }, "[bits=8]"), "cols is 8"));
  CHECK(mentions(refusal([](Args& a) { a.cols = 12; }, "[bits=16]"), "multiple of 16 bytes"));
  CHECK(mentions(refusal([](Args& a) { a.cols = 0; }, ""), "cols is 0"));
  CHECK(mentions(refusal([](Args& a) { a.tokens = -1; }), "tokens is -1"));
  CHECK(mentions(refusal([](Args& a) { a.capacity = -1; }), "capacity is -1"));
  CHECK(mentions(refusal([](Args& a) { a.top_k = 0; }), "top_k is 0"));
  CHECK(mentions(refusal([](Args& a) { a.capacity = std::int64_t{1} << 40; }), "2^47"));
  CHECK(mentions(refusal([](Args& a) { a.x = at<void>(0x1008); }), "x is"));
  CHECK(mentions(refusal([](Args& a) { a.y = at<void>(0x3008); }), "y is"));
  CHECK(mentions(refusal([](Args& a) { a.x_scales = nullptr; }), "x_scales is a null"));
  CHECK(mentions(refusal([](Args& a) { a.y_scales = nullptr; }), "y_scales is a null"));
  CHECK(mentions(refusal([](Args& a) { a.row_entries = nullptr; }), "row_entries is a null"));
  CHECK(mentions(refusal([](Args& a) { a.padded_rows = nullptr; }), "padded_rows is a null"));
}

TEST_CASE("moe_permute: memory and launch of a call", "[moe]") {
  Args args = good_args();
  const auto list = regions("moe_permute[bits=16,scales=block128]@sm_90a", args);
  REQUIRE(list.size() == 6);
  CHECK(list[0].bytes == 5 * 512);
  CHECK(list[1].bytes == 40 * 512);
  CHECK(list[4].bytes == 5 * 2 * 4);
  CHECK(list[5].bytes == 40 * 2 * 4);
  CHECK(regions("moe_permute[bits=8]@sm_90a", args).size() == 4);
  // Rows pass first, slabs of columns are so narrow that the tokens' fit in L2.
  const auto small = launch("moe_permute[bits=8,tpc=4]@sm_90a", args);
  CHECK(small.block[0] == 32);
  CHECK(small.block[1] == 8);
  CHECK(small.grid[0] == 2);
  CHECK(small.grid[1] == 1);
  args.cols = 2048;
  const auto wide = launch("moe_permute[bits=16,tpc=4]@sm_90a", args);
  CHECK(wide.block[0] == 64);
  CHECK(wide.block[1] == 4);
  CHECK(wide.grid[0] == 3);
  CHECK(wide.grid[1] == 4);
  args.tokens = 8193;
  args.capacity = 1'000'000;
  const auto many = launch("moe_permute[tpc=1]@sm_90a", args);
  CHECK(many.block[0] == 32);
  CHECK(many.grid[0] == 31'251);  // four rows a thread
  CHECK(many.grid[1] == 8);
  args.cols = std::int64_t{1} << 25;
  CHECK(launch("moe_permute[tpc=1]@sm_90a", args).grid[1] == 65535);
  args.capacity = 0;
  CHECK(launch("moe_permute@sm_90a", args).empty);
}

TEST_CASE("moe_permute: by token", "[moe]") {
  const std::string axes = "[by=token,scales=block128]";
  CHECK(refusal([](Args&) {}, axes) == "accepted");
  CHECK(mentions(refusal([](Args& a) { a.rows = nullptr; }, axes), "rows is a null"));
  CHECK(mentions(refusal([](Args& a) { a.row_entries = nullptr; }, axes), "row_entries is a null"));
  CHECK(refusal([](Args& a) { a.row_entries = nullptr; }, "[by=token]") == "accepted");
  CHECK(refusal([](Args& a) { a.tokens = 0, a.rows = nullptr; }, axes) == "accepted");
  CHECK(mentions(refusal([](Args& a) { a.cols = (1 << 28) + 128; }, axes), "more than 2^29 bytes"));
  CHECK(refusal_of_spec("moe_permute[by=token]@sm_90") == "accepted");
  CHECK(mentions(refusal_of_spec("moe_permute[by=token]@sm_89"),
                 "needs bulk copies, which sm_89 has not"));
  CHECK(mentions(refusal_of_spec("moe_permute[by=token,tpc=4]@sm_90"), "tpc is for by=row"));
}

TEST_CASE("moe_permute: memory and launch of a call by token", "[moe]") {
  Args args = good_args();
  CHECK(regions("moe_permute[by=token,scales=block128]@sm_90a", args).size() == 7);
  const auto list = regions("moe_permute[by=token]@sm_90a", args);
  REQUIRE(list.size() == 4);
  CHECK(list[3].name == "rows");
  CHECK(list[3].bytes == 5 * 3 * 4);
  const auto shape = [&](const char* axes, std::int64_t tokens, std::int64_t cols,
                         std::int64_t capacity) {
    args.tokens = tokens;
    args.cols = cols;
    args.capacity = capacity;
    return launch(std::string("moe_permute[by=token,") + axes + "]@sm_90a", args);
  };
  // Many tokens: a piece is a row of up to 16 KiB.
  const auto many = shape("bits=8", 16384, 7168, 131072);
  CHECK(many.block[0] == 32);
  CHECK(many.grid[0] == 16384);
  CHECK(many.grid[1] == 1);
  CHECK(many.dynamic_shared_bytes == 7168);
  const auto wide = shape("bits=16", 16384, 12288, 131072);
  CHECK(wide.grid[1] == 2);
  CHECK(wide.dynamic_shared_bytes == 12288);
  // Few tokens: pieces of 1 KiB at least.
  CHECK(shape("bits=8", 1, 7168, 8).grid[1] == 7);
  CHECK(shape("bits=8", 256, 7168, 2048).grid[1] == 3);
  CHECK(shape("bits=8", 3, 16, 8).grid[1] == 1);
  // As many CTAs for scales as for tokens, or more, if there is much padding.
  CHECK(shape("bits=8,scales=block128", 16384, 7168, 131072).grid[0] == 16384 + 1024 * 14);
  CHECK(shape("bits=8,scales=block128", 16384, 7168, 262144).grid[0] == 16384 + 16384);
  CHECK(shape("bits=8,scales=block128", 1, 7168, 4096).grid[0] == 1 + 32 * 14 / 7);
  CHECK(shape("bits=8,scales=block128", 0, 7168, 32).grid[0] == 2);  // 14 items
  CHECK(shape("bits=8", 0, 7168, 32).empty);
  CHECK(shape("bits=8,scales=block128", 5, 7168, 0).empty);
}
