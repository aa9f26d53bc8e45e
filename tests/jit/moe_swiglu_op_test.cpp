#include <fourge/kernel_spec.hpp>
#include <fourge/moe_swiglu_fp8_block.hpp>

#include "tests/jit/op_args.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <functional>
#include <limits>

using Args = fourge::MoeSwigluFp8BlockArgs;

namespace {

using fourge::tests::at;
using fourge::tests::launch;
using fourge::tests::mentions;
using fourge::tests::regions;

Args good_args() {
  Args args;
  args.x = at<std::uint8_t>(0x1000);
  args.x_scales = at<float>(0x2000);
  args.y = at<std::uint8_t>(0x3000);
  args.y_scales = at<float>(0x4000);
  args.row_map = at<std::int32_t>(0x5000);
  args.padded_rows = at<std::int32_t>(0x6000);
  args.tokens = 5;
  args.top_k = 3;
  args.cols = 256;
  args.capacity = 40;
  return args;
}

std::string refusal(const std::function<void(Args&)>& change, const std::string& axes = "") {
  return fourge::tests::refusal_with_axes(axes, good_args(), change);
}

}  // namespace

TEST_CASE("block-FP8 SwiGLU: bad arguments are refused by name", "[moe]") {
  CHECK(refusal([](Args&) {}) == "accepted");
  CHECK(refusal([](Args& a) { a.tokens = 0, a.x = nullptr, a.row_map = nullptr; }) == "accepted");
  CHECK(mentions(refusal([](Args& a) { a.cols = 192; }), "cols is 192"));
  CHECK(mentions(refusal([](Args& a) { a.cols = 192; }), "multiple of 128"));
  CHECK(mentions(refusal([](Args& a) { a.cols = 0; }), "cols is 0"));
  CHECK(mentions(refusal([](Args& a) { a.tokens = -1; }), "tokens is -1"));
  CHECK(mentions(refusal([](Args& a) { a.capacity = -1; }), "capacity is -1"));
  CHECK(mentions(refusal([](Args& a) { a.top_k = 0; }), "top_k is 0"));
  CHECK(mentions(refusal([](Args& a) { a.capacity = std::int64_t{1} << 40; }), "2^47"));
  CHECK(mentions(refusal([](Args& a) { a.tokens = std::int64_t{1} << 46; }), "2^47"));
  CHECK(
      mentions(refusal([](Args& a) { a.capacity = std::int64_t{1} << 31; }), "at most 2147483647"));
  CHECK(mentions(refusal([](Args& a) { a.cols = std::int64_t{1} << 30; }), "at most 536870912"));
  CHECK(mentions(refusal([](Args& a) { a.x = at<std::uint8_t>(0x1008); }), "x is"));
  CHECK(mentions(refusal([](Args& a) { a.y = at<std::uint8_t>(0x3008); }), "y is"));
  CHECK(mentions(refusal([](Args& a) { a.x_scales = nullptr; }), "x_scales is a null"));
  CHECK(mentions(refusal([](Args& a) { a.y_scales = nullptr; }), "y_scales is a null"));
  CHECK(mentions(refusal([](Args& a) { a.row_map = nullptr; }), "row_map is a null"));
  CHECK(mentions(refusal([](Args& a) { a.padded_rows = nullptr; }), "padded_rows is a null"));
}

TEST_CASE("block-FP8 SwiGLU: limit, alpha and beta count where they are used", "[moe]") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const std::string clamped = "[form=clamped]";
  for (const float limit : {0.0F, -7.0F, kNan}) {
    const auto change = [limit](Args& a) { a.limit = limit; };
    CHECK(mentions(refusal(change, clamped), "limit is"));
    CHECK(refusal(change) == "accepted");
  }
  CHECK(refusal([](Args& a) { a.limit = kInfinity; }, clamped) == "accepted");
  CHECK(mentions(refusal([](Args& a) { a.alpha = kInfinity; }, clamped), "alpha is"));
  CHECK(mentions(refusal([](Args& a) { a.beta = kNan; }, clamped), "beta is"));
}

TEST_CASE("block-FP8 SwiGLU: the memory of a call", "[moe]") {
  const auto map = regions("moe_swiglu_fp8_block@sm_90a", good_args());
  REQUIRE(map.size() == 6);
  CHECK(map[0].bytes == 40 * 512);
  CHECK(map[1].bytes == 40 * 4 * 4);
  CHECK(map[2].bytes == 40 * 256);
  CHECK(map[3].bytes == 40 * 2 * 4);
  CHECK(map[4].bytes == 15 * 4);
  CHECK(map[5].bytes == 4);
  CHECK(regions("moe_swiglu_fp8_block[rows=inverse]@sm_90a", good_args())[4].bytes == 40 * 4);
}

TEST_CASE("block-FP8 SwiGLU: narrow rows share a CTA, in whole warps", "[moe]") {
  struct Row {
    std::int64_t cols;
    std::uint32_t width;
    std::uint32_t rows;
    std::uint32_t columns;
  };
  Args args = good_args();
  args.tokens = 1'000'000;
  // Four threads for 128 columns.
  for (const Row& row :
       {Row{128, 4, 32, 1}, Row{256, 8, 16, 1}, Row{384, 12, 8, 1}, Row{640, 24, 4, 1},
        Row{768, 24, 4, 1}, Row{1536, 48, 2, 1}, Row{2048, 64, 2, 1}, Row{3072, 96, 1, 1},
        Row{4096, 128, 1, 1}, Row{4224, 96, 1, 2}, Row{5120, 96, 1, 2}, Row{8192, 128, 1, 2}}) {
    CAPTURE(row.cols);
    args.cols = row.cols;
    const auto shape = launch("moe_swiglu_fp8_block[tpc=4]@sm_90a", args);
    CHECK(shape.block[0] == row.width);
    CHECK(shape.block[1] == row.rows);
    CHECK(shape.block[2] == 1);
    CHECK(shape.grid[0] == row.columns);
  }
  // tpc=1: eight.
  args.cols = 2048;
  CHECK(launch("moe_swiglu_fp8_block[tpc=1]@sm_90a", args).block[0] == 128);
  args.cols = 2176;
  CHECK(launch("moe_swiglu_fp8_block[tpc=1]@sm_90a", args).block[0] == 96);
  CHECK(launch("moe_swiglu_fp8_block[tpc=1]@sm_90a", args).grid[0] == 2);
}

TEST_CASE("block-FP8 SwiGLU: the launch stays within the grid's limits", "[moe]") {
  Args args = good_args();
  args.cols = 2048;  // one row a round with tpc=1, two with the others
  CHECK(launch("moe_swiglu_fp8_block[tpc=1]@sm_90a", args).grid[1] == 15);
  CHECK(launch("moe_swiglu_fp8_block[tpc=2]@sm_90a", args).grid[1] == 8);
  CHECK(launch("moe_swiglu_fp8_block[rows=inverse,tpc=1]@sm_90a", args).grid[1] == 40);
  args.tokens = 1'000'000;
  // Rounds of one row, of two, and runs of four rounds of two.
  struct Grid {
    const char* spec;
    std::uint32_t ctas;
    std::uint32_t z;
  };
  for (const Grid& grid : {Grid{"moe_swiglu_fp8_block[tpc=1]@sm_90a", 3'000'000, 46},
                           Grid{"moe_swiglu_fp8_block[tpc=2]@sm_90a", 1'500'000, 23},
                           Grid{"moe_swiglu_fp8_block[tpc=4]@sm_90a", 375'000, 6}}) {
    CAPTURE(grid.spec);
    const auto shape = launch(grid.spec, args);
    CHECK(shape.grid[1] <= 65535);
    CHECK(shape.grid[2] == grid.z);
    CHECK(shape.grid[1] * shape.grid[2] >= grid.ctas);
    CHECK((shape.grid[1] - 1) * shape.grid[2] < grid.ctas);
  }
  args.tokens = 86'000;
  CHECK(launch("moe_swiglu_fp8_block[tpc=4]@sm_90a", args).grid[2] == 1);
  // Just too many for runs and single rounds: z says that all are runs.
  args.tokens = 173'000;
  CHECK(launch("moe_swiglu_fp8_block[tpc=4]@sm_90a", args).grid[1] == 32438);
  CHECK(launch("moe_swiglu_fp8_block[tpc=4]@sm_90a", args).grid[2] == 2);
  args.cols = std::int64_t{1} << 29;
  args.tokens = 1;
  args.capacity = 1;
  CHECK(launch("moe_swiglu_fp8_block[tpc=2]@sm_90a", args).grid[0] == 1 << 17);
  CHECK(launch("moe_swiglu_fp8_block[tpc=2]@sm_90a", args).grid[1] == 3);
  args.tokens = 0;
  CHECK(launch("moe_swiglu_fp8_block@sm_90a", args).empty);
  args = good_args();
  args.capacity = 0;
  CHECK(launch("moe_swiglu_fp8_block@sm_90a", args).empty);
}

TEST_CASE("block-FP8 SwiGLU: runs of four rounds and, last, single rounds", "[moe]") {
  struct Row {
    std::int64_t rounds;
    std::uint32_t ctas;
  };
  Args args = good_args();
  args.cols = 2048;
  args.top_k = 2;  // a round a token
  for (const Row& row : {Row{1, 1}, Row{2, 2}, Row{4, 4}, Row{5, 5}, Row{8, 5}, Row{9, 6},
                         Row{4096, 2560}, Row{4097, 2561}, Row{8192, 3146}, Row{11264, 3584},
                         Row{11265, 3585}, Row{16384, 4864}, Row{65536, 17152}}) {
    CAPTURE(row.rounds);
    args.tokens = row.rounds;
    const auto shape = launch("moe_swiglu_fp8_block[tpc=4]@sm_90a", args);
    CHECK(shape.grid[1] == row.ctas);
    // As the template counts.
    const std::int64_t ctas = shape.grid[1];
    const std::int64_t runs = std::max(ctas / 5, std::min(2 * ctas - 4608, ctas - 1024));
    CHECK(ctas + 3 * runs >= row.rounds);
  }
}

TEST_CASE("block-FP8 SwiGLU: tokens per CTA by the device's size", "[moe]") {
  using fourge::moe::swiglu_tokens_per_cta;
  // top_k 8 and 2048 columns, so 8 CTAs a token: the last T with 1, and the last with 2.
  struct Row {
    int multiprocessors;
    std::int64_t last_1;
    std::int64_t last_2;
  };
  for (const Row& row :
       {Row{78, 97, 312}, Row{108, 135, 432}, Row{132, 165, 528}, Row{148, 185, 592}}) {
    CAPTURE(row.multiprocessors);
    const auto choice = [&row](std::int64_t tokens) {
      return swiglu_tokens_per_cta(tokens, 8, 2048, row.multiprocessors);
    };
    CHECK(choice(0) == 1);
    CHECK(choice(1) == 1);
    CHECK(choice(row.last_1) == 1);
    CHECK(choice(row.last_1 + 1) == 2);
    CHECK(choice(row.last_2) == 2);
    CHECK(choice(row.last_2 + 1) == 4);
    CHECK(choice(std::int64_t{1} << 40) == 4);
  }
  // Columns count in CTAs: 2049 and 4096 need two.
  CHECK(swiglu_tokens_per_cta(165, 8, 128, 132) == 1);
  CHECK(swiglu_tokens_per_cta(165, 8, 2176, 132) == 2);
  CHECK(swiglu_tokens_per_cta(82, 8, 4096, 132) == 1);
  CHECK(swiglu_tokens_per_cta(83, 8, 4096, 132) == 2);
}
