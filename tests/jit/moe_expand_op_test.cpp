#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/moe_expand_quantize.hpp>

#include "tests/jit/op_args.hpp"
#include "tests/support/catch.hpp"

#include <functional>

using Args = fourge::MoeExpandQuantizeArgs;
using fourge::KernelSpec;

namespace {

using fourge::tests::at;
using fourge::tests::launch;
using fourge::tests::mentions;
using fourge::tests::regions;

constexpr const char* kRegions = "[scale=expert,layout=128x4,index=compact]";

Args good_args() {
  Args args;
  args.x = at<void>(0x1000);
  args.out = at<std::uint8_t>(0x2000);
  args.scales = at<std::uint8_t>(0x3000);
  args.token_scales = at<float>(0x4000);
  args.global_scale = at<float>(0x5000);
  args.rows = at<std::int32_t>(0x6000);
  args.expert_ids = at<std::int32_t>(0x7000);
  args.expert_rows = at<std::int64_t>(0x8000);
  args.tokens = 5;
  args.top_k = 3;
  args.cols = 96;
  args.capacity = 20;
  args.experts = 4;
  return args;
}

std::string refusal(const std::function<void(Args&)>& change, const std::string& axes = "") {
  return fourge::tests::refusal_with_axes(axes, good_args(), change);
}

std::string spec_refusal(const std::string& axes) {
  try {
    KernelSpec::parse("moe_expand_quantize" + axes + "@sm_90a").check();
  } catch (const fourge::Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("moe_expand_quantize: illegal combinations are refused by name", "[moe]") {
  CHECK(spec_refusal("") == "accepted");
  CHECK(spec_refusal("[scale=token,4over6=mae256]") == "accepted");
  CHECK(spec_refusal("[format=mxfp8,scale=none,layout=8x4]") == "accepted");
  CHECK(spec_refusal("[format=fp8,scale=token]") == "accepted");
  CHECK(mentions(spec_refusal("[scale=none]"), "format=nvfp4 has no scale=none"));
  CHECK(mentions(spec_refusal("[format=mxfp8,scale=tensor]"), "format=mxfp8 has no scale=tensor"));
  CHECK(mentions(spec_refusal("[format=fp8,scale=expert]"), "format=fp8 has no scale=expert"));
  CHECK(mentions(spec_refusal("[format=mxfp8,scale=none,4over6=mae448]"), "needs format=nvfp4"));
  CHECK(mentions(spec_refusal("[format=fp8,scale=token,layout=128x4]"), "must be linear"));
}

TEST_CASE("moe_expand_quantize: bad arguments are refused by name", "[moe]") {
  CHECK(refusal([](Args&) {}) == "accepted");
  CHECK(refusal([](Args&) {}, kRegions) == "accepted");
  CHECK(refusal([](Args& a) { a.capacity = 0, a.out = nullptr; }) == "accepted");
  CHECK(refusal([](Args& a) { a.tokens = 0, a.x = nullptr, a.rows = nullptr; }) == "accepted");
  CHECK(refusal([](Args& a) {
          a.token_scales = nullptr, a.expert_ids = nullptr, a.expert_rows = nullptr;
        }) == "accepted");
  CHECK(mentions(refusal([](Args& a) { a.cols = 40; }), "cols is 40"));
  CHECK(mentions(refusal([](Args& a) { a.cols = 48; }, "[format=mxfp8,scale=none]"), "cols is 48"));
  CHECK(mentions(refusal([](Args& a) { a.tokens = -1; }), "tokens is -1"));
  CHECK(mentions(refusal([](Args& a) { a.top_k = 0; }), "top_k is 0"));
  CHECK(mentions(refusal([](Args& a) { a.capacity = -1; }), "capacity is -1"));
  CHECK(mentions(refusal([](Args& a) { a.experts = -1; }), "experts is -1"));
  CHECK(mentions(refusal([](Args& a) { a.capacity = std::int64_t{1} << 42; }), "2^47"));
  CHECK(mentions(refusal([](Args& a) { a.x = at<void>(0x1010); }), "32 bytes"));
  CHECK(mentions(refusal([](Args& a) { a.out = at<std::uint8_t>(0x2008); }), "out is"));
  CHECK(mentions(refusal([](Args& a) { a.scales = nullptr; }), "scales is a null"));
  CHECK(mentions(refusal([](Args& a) { a.global_scale = nullptr; }), "global_scale is a null"));
  CHECK(mentions(refusal([](Args& a) { a.token_scales = nullptr; }, "[scale=token]"),
                 "token_scales is a null"));
  CHECK(mentions(refusal([](Args& a) { a.rows = nullptr; }), "rows is a null"));
  CHECK(
      mentions(refusal([](Args& a) { a.expert_ids = nullptr; }, kRegions), "expert_ids is a null"));
  CHECK(mentions(refusal([](Args& a) { a.expert_rows = nullptr; }, kRegions),
                 "expert_rows is a null"));
  CHECK(mentions(refusal([](Args& a) { a.row_entries = at<std::int32_t>(0x9000); }, kRegions),
                 "row_entries must be null"));
  CHECK(mentions(refusal([](Args& a) { a.row_entries = at<std::int32_t>(0x9002); }),
                 "row_entries is"));
}

TEST_CASE("moe_expand_quantize: rows of the block scales", "[moe]") {
  using fourge::moe::expand_scale_rows;
  CHECK(expand_scale_rows("linear", "padded", 20, 4) == 20);
  CHECK(expand_scale_rows("linear", "compact", 20, 4) == 20);
  CHECK(expand_scale_rows("128x4", "padded", 129, 4) == 256);
  CHECK(expand_scale_rows("128x4", "compact", 20, 4) == 640);
  CHECK(expand_scale_rows("8x4", "compact", 20, 4) == 48);
  CHECK_THROWS_AS(expand_scale_rows("4x4", "padded", 1, 1), fourge::Error);
  CHECK_THROWS_AS(expand_scale_rows("8x4", "sorted", 1, 1), fourge::Error);
}

TEST_CASE("moe_expand_quantize: memory and launch of a call", "[moe]") {
  Args args = good_args();
  const auto list =
      regions("moe_expand_quantize[scale=expert,layout=128x4,index=compact]@sm_90a", args);
  REQUIRE(list.size() == 7);
  CHECK(list[0].bytes == 5 * 96 * 2);
  CHECK(list[1].bytes == 20 * 48);
  CHECK(list[2].bytes == 15 * 4);
  CHECK(list[3].bytes == 640 * 8);
  CHECK(list[4].bytes == 4 * 4);
  CHECK(list[5].bytes == 15 * 4);
  CHECK(list[6].bytes == 5 * 8);
  args.row_entries = at<std::int32_t>(0x9000);
  CHECK(regions("moe_expand_quantize[format=mxfp8,scale=none]@sm_90a", args).size() == 5);
  CHECK(regions("moe_expand_quantize[format=fp8,scale=token]@sm_90a", args)[3].bytes == 20 * 4);
  args.cols = 16 * 300;
  CHECK(launch("moe_expand_quantize@sm_90a", args).grid[0] == 3);
  CHECK(launch("moe_expand_quantize@sm_90a", args).block[0] == 128);
  const auto token = launch("moe_expand_quantize[scale=token]@sm_90a", args);
  CHECK(token.grid[0] == 1);
  CHECK(token.block[0] == 256);
  args.tokens = 70000;
  CHECK(launch("moe_expand_quantize@sm_90a", args).grid[1] == 65535);
  args.tokens = 0;
  CHECK(launch("moe_expand_quantize@sm_90a", args).grid[1] == 1);
  CHECK(launch("moe_expand_quantize[format=mxfp8,scale=none]@sm_90a", args).grid[0] == 3);
  // Tiled scales: all tokens pass before the next columns.
  args.row_entries = nullptr;
  args.tokens = 70000;
  const auto tiled = launch("moe_expand_quantize[layout=128x4]@sm_90a", args);
  CHECK(tiled.grid[0] == 70000);
  CHECK(tiled.grid[1] == 5);
  CHECK(tiled.block[0] == 64);
  args.tokens = 1;
  CHECK(launch("moe_expand_quantize[layout=8x4]@sm_90a", args).grid[0] == 1);
  args.capacity = 100;
  CHECK(launch("moe_expand_quantize[layout=8x4]@sm_90a", args).grid[0] == 4);
  args.experts = 256;  // whose paddings are shared out
  CHECK(launch("moe_expand_quantize[layout=8x4,index=compact]@sm_90a", args).grid[0] == 1024);
  args.capacity = 0;
  CHECK(launch("moe_expand_quantize@sm_90a", args).empty);
}
