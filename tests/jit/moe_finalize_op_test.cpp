#include <fourge/kernel_spec.hpp>
#include <fourge/moe_finalize.hpp>

#include "tests/jit/op_args.hpp"
#include "tests/support/catch.hpp"

#include <functional>

using Args = fourge::MoeFinalizeArgs;

namespace {

using fourge::tests::at;
using fourge::tests::launch;
using fourge::tests::mentions;
using fourge::tests::regions;

Args good_args() {
  return {at<void>(0x1000),
          at<void>(0x2000),
          at<std::int32_t>(0x3000),
          at<void>(0x4000),
          at<void>(0x5000),
          at<std::int32_t>(0x6000),
          at<void>(0x7000),
          5,
          3,
          64,
          72,
          20,
          4};
}

std::string refusal(const std::function<void(Args&)>& change,
                    const std::string& axes = "[bias=on,shared=on]") {
  return fourge::tests::refusal_with_axes(axes, good_args(), change);
}

}  // namespace

TEST_CASE("moe_finalize: bad arguments are refused by name", "[moe]") {
  CHECK(refusal([](Args&) {}) == "accepted");
  CHECK(refusal([](Args& a) { a.tokens = 0, a.out = nullptr; }) == "accepted");
  CHECK(refusal([](Args& a) { a.capacity = 0, a.x = nullptr; }) == "accepted");
  CHECK(refusal([](Args& a) { a.bias = a.shared = nullptr, a.expert_ids = nullptr; }, "") ==
        "accepted");
  CHECK(refusal([](Args& a) { a.weights = nullptr; }, "[weights=none]") == "accepted");
  CHECK(mentions(refusal([](Args& a) { a.weights = nullptr; }), "weights is a null"));
  CHECK(mentions(refusal([](Args& a) { a.weights = at<void>(0x4002); }), "weights is"));
  CHECK(refusal([](Args& a) { a.weights = at<void>(0x4002); }, "[weights=bf16]") == "accepted");
  CHECK(mentions(refusal([](Args& a) { a.cols = 60; }), "cols is 60"));
  CHECK(mentions(refusal([](Args& a) { a.x_cols = 56; }), "x_cols is 56"));
  CHECK(mentions(refusal([](Args& a) { a.x_cols = 68; }), "x_cols is 68"));
  CHECK(mentions(refusal([](Args& a) { a.tokens = -1; }), "tokens is -1"));
  CHECK(mentions(refusal([](Args& a) { a.top_k = 0; }), "top_k is 0"));
  CHECK(mentions(refusal([](Args& a) { a.capacity = -2; }), "capacity is -2"));
  CHECK(mentions(refusal([](Args& a) { a.experts = -2; }), "experts is -2"));
  CHECK(mentions(refusal([](Args& a) { a.capacity = std::int64_t{1} << 42; }), "2^47"));
  CHECK(mentions(refusal([](Args& a) { a.x = at<void>(0x1008); }), "x is"));
  CHECK(mentions(refusal([](Args& a) { a.out = at<void>(0x2008); }), "out is"));
  CHECK(mentions(refusal([](Args& a) { a.rows = nullptr; }), "rows is a null"));
  CHECK(mentions(refusal([](Args& a) { a.bias = nullptr; }), "bias is a null"));
  CHECK(mentions(refusal([](Args& a) { a.expert_ids = nullptr; }), "expert_ids is a null"));
  CHECK(mentions(refusal([](Args& a) { a.shared = at<void>(0x7002); }), "shared is"));
}

TEST_CASE("moe_finalize: memory and launch of a call", "[moe]") {
  Args args = good_args();
  const auto list = regions("moe_finalize[weights=bf16,bias=on,shared=on]@sm_90a", args);
  REQUIRE(list.size() == 7);
  CHECK(list[0].bytes == 20 * 72 * 2);
  CHECK(list[1].bytes == 5 * 64 * 2);
  CHECK(list[2].bytes == 15 * 4);
  CHECK(list[3].bytes == 15 * 2);
  CHECK(list[4].bytes == 4 * 64 * 2);
  CHECK(list[5].bytes == 15 * 4);
  CHECK(list[6].bytes == 5 * 64 * 2);
  CHECK(regions("moe_finalize[weights=none]@sm_90a", args).size() == 3);
  args.cols = args.x_cols = 1032;
  args.tokens = 70000;
  const auto tall = launch("moe_finalize@sm_90a", args);
  CHECK(tall.block[0] == 128);
  CHECK(tall.grid[0] == 2);
  CHECK(tall.grid[1] == 65535);
  args.tokens = 0;
  CHECK(launch("moe_finalize@sm_90a", args).empty);
}
