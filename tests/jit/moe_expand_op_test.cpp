#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/moe_expand_quantize.hpp>

#include "jit/ops/expand_staging.hpp"
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
  CHECK(spec_refusal("[layout=128x4,staging=on]") == "accepted");
  CHECK(spec_refusal("[layout=8x4,scale=token,4over6=mse448,index=compact,staging=on]") ==
        "accepted");
  CHECK(spec_refusal("[format=mxfp8,scale=none,layout=8x4,staging=on]") == "accepted");
  CHECK(mentions(spec_refusal("[staging=on]"), "it needs layout=128x4 or 8x4, not linear"));
  CHECK(mentions(spec_refusal("[layout=8x4,scale=expert,staging=on]"), "or none, not expert"));
  CHECK(mentions(spec_refusal("[format=fp8,scale=token,staging=on]"), "staging=on is for block"));
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

TEST_CASE("moe_expand_quantize: bad arguments with staging=on are refused by name", "[moe]") {
  const auto refused = [](const std::function<void(Args&)>& change, const char* more = "") {
    return refusal(
        [&](Args& a) {
          a.row_entries = at<std::int32_t>(0x9000);
          a.workspace = at<std::uint8_t>(0xA000);
          change(a);
        },
        std::string("[layout=128x4,staging=on") + more + "]");
  };
  CHECK(refused([](Args&) {}) == "accepted");
  CHECK(refused([](Args& a) { a.expert_ids = nullptr; }, ",index=compact") == "accepted");
  CHECK(refused([](Args& a) { a.capacity = 0, a.workspace = nullptr; }) == "accepted");
  CHECK(refused([](Args& a) { a.tokens = 0, a.x = nullptr, a.rows = nullptr; }) == "accepted");
  CHECK(mentions(refused([](Args& a) { a.workspace = nullptr; }), "workspace is a null"));
  CHECK(mentions(refused([](Args& a) { a.tokens = 0, a.workspace = nullptr; }),
                 "workspace is a null"));
  CHECK(mentions(refused([](Args& a) { a.workspace = at<std::uint8_t>(0xA010); }), "32 bytes"));
  CHECK(mentions(refused([](Args& a) { a.row_entries = nullptr; }), "row_entries is a null"));
  CHECK(mentions(refused([](Args& a) { a.row_entries = nullptr; }, ",index=compact"),
                 "row_entries is a null"));
  CHECK(mentions(refused([](Args& a) { a.row_entries = at<std::int32_t>(0x9002); }),
                 "row_entries is"));
  CHECK(mentions(refused([](Args& a) { a.expert_rows = nullptr; }, ",index=compact"),
                 "expert_rows is a null"));
  CHECK(mentions(refused([](Args& a) { a.cols = (1LL << 30) + 16; }),
                 "cols is 1073741840; staging=on takes at most 1073741824"));
  CHECK(mentions(refused([](Args& a) { a.tokens = (1LL << 31) + 1; }), "tokens is 2147483649; st"));
  CHECK(mentions(refused([](Args& a) { a.capacity = (1LL << 31) + 1; }), "capacity is"));
  CHECK(mentions(refused([](Args& a) { a.experts = (1LL << 24) + 1; }), "experts is"));
}

TEST_CASE("moe_expand_quantize: the grid of staging=on", "[moe]") {
  using fourge::jit::expand_staging_grid;
  struct Row {
    fourge::jit::ExpandStagingSizes sizes;
    std::int64_t threads;
    std::int64_t ctas;
  };
  // Tokens, lanes, rows and columns of scales, whole tokens, running CTAs.
  const Row rows[] = {{{1024, 448, 9984, 448, false, 660}, 224, 660},
                      {{1, 448, 1920, 448, false, 660}, 224, 2 + 60},
                      {{1, 448, 1920, 448, true, 528}, 224, 1 + 60},
                      {{0, 448, 128, 448, false, 660}, 224, 4},
                      {{0, 448, 0, 448, false, 660}, 224, 0},
                      {{3, 6, 128, 8, false, 660}, 32, 3 + 4},
                      {{9000, 6, 1280, 8, false, 660}, 32, 7 * 660},
                      {{16, 224, 256, 224, false, 660}, 224, 16 + 5},
                      {{16, 225, 256, 228, false, 660}, 128, 32 + 8},
                      {{16, 448, 256, 224, false, 660}, 224, 32 + 5},
                      {{1LL << 31, 1LL << 16, 1LL << 31, 1LL << 16, false, 660}, 224, 660}};
  for (const Row& row : rows) {
    INFO(row.sizes.tokens << " tokens of " << row.sizes.lanes << " lanes");
    const auto grid = expand_staging_grid(row.sizes);
    CHECK(grid.threads == row.threads);
    CHECK(grid.ctas == row.ctas);
  }
  Args args = good_args();
  args.row_entries = at<std::int32_t>(0x9000);
  args.workspace = at<std::uint8_t>(0xA000);
  const char* const text = "moe_expand_quantize[layout=128x4,index=compact,staging=on]@sm_90a";
  const auto list = regions(text, args);
  REQUIRE(list.size() == 8);
  CHECK(list[6].name == "row_entries");
  CHECK(list[6].bytes == 20 * 4);
  CHECK(list[7].name == "workspace");
  CHECK(list[7].bytes == fourge::moe::expand_workspace_bytes("nvfp4", 5, 96));
  CHECK(list[7].access == fourge::Access::read_write);
  const auto shape = launch(text, args);
  CHECK(shape.block[0] == 32);
  CHECK(shape.grid[0] == 5 + 640 / 32);
  args.capacity = 0;
  CHECK(launch(text, args).empty);
}

TEST_CASE("moe_expand_quantize: bytes of the workspace", "[moe]") {
  using fourge::moe::expand_workspace_bytes;
  CHECK(expand_workspace_bytes("nvfp4", 0, 7168) == 512);
  CHECK(expand_workspace_bytes("nvfp4", 3, 7168) == 512 + 3 * 448);
  CHECK(expand_workspace_bytes("nvfp4", 3, 96) == 512 + 3 * 32);
  CHECK(expand_workspace_bytes("mxfp8", 5, 7168) == 512 + 5 * 224);
  CHECK(expand_workspace_bytes("mxfp8", 1, 1056) == 512 + 64);
  CHECK_THROWS_AS(expand_workspace_bytes("fp8", 1, 96), fourge::Error);
  CHECK_THROWS_AS(expand_workspace_bytes("nvfp4", -1, 96), fourge::Error);
  CHECK_THROWS_AS(expand_workspace_bytes("nvfp4", 1, 0), fourge::Error);
  CHECK_THROWS_AS(expand_workspace_bytes("mxfp8", 1, 48), fourge::Error);
  CHECK_THROWS_AS(expand_workspace_bytes("nvfp4", std::int64_t{1} << 44, 96), fourge::Error);
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
