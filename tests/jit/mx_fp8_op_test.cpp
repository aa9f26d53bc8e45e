#include <fourge/error.hpp>
#include <fourge/fp8_quantize.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/mx_quantize.hpp>

#include "tests/jit/op_args.hpp"
#include "tests/support/catch.hpp"

#include <functional>
#include <limits>

using fourge::BufferRegion;
using fourge::Error;
using fourge::KernelSpec;
using fourge::LaunchShape;
using Mxfp4 = fourge::Mxfp4QuantizeArgs;
using Mxfp8 = fourge::Mxfp8QuantizeArgs;
using Row = fourge::Fp8Quantize1x128Args;
using Tile = fourge::Fp8Quantize128x128Args;

namespace {

using fourge::tests::at;
using fourge::tests::launch;
using fourge::tests::mentions;
using fourge::tests::refusal_with_axes;
using fourge::tests::regions;

Mxfp4 mxfp4_args() {
  return {at<void>(0x1000), at<std::uint8_t>(0x2000), at<std::uint8_t>(0x3000), 5, 64};
}
Mxfp8 mxfp8_args() {
  return {at<void>(0x1000), at<std::uint8_t>(0x2000), at<std::uint8_t>(0x3000), 5, 64, 128};
}
template <class Args>
Args fp8_args() {
  return {at<void>(0x1000), at<std::uint8_t>(0x2000), at<float>(0x3000), 5, 144, 1e-4F};
}

template <class Args>
std::string refusal_of(const Args& args, const std::function<void(Args&)>& change) {
  return refusal_with_axes("", args, change);
}

std::string mxfp4_refusal(const std::function<void(Mxfp4&)>& change) {
  return refusal_of(mxfp4_args(), change);
}
std::string mxfp8_refusal(const std::function<void(Mxfp8&)>& change) {
  return refusal_of(mxfp8_args(), change);
}

template <class Args>
void check_fp8_refusals() {
  const auto refusal = [](const std::function<void(Args&)>& change) {
    return refusal_of(fp8_args<Args>(), change);
  };
  CHECK(refusal([](Args&) {}) == "accepted");
  CHECK(refusal([](Args& a) { a.rows = 0, a.x = nullptr, a.data = nullptr; }) == "accepted");
  CHECK(refusal([](Args& a) { a.eps = 0x1p-117F; }) == "accepted");
  CHECK(mentions(refusal([](Args& a) { a.x = nullptr; }), "x is a null pointer"));
  CHECK(mentions(refusal([](Args& a) { a.x = at<void>(0x1010); }), "32 bytes"));
  CHECK(mentions(refusal([](Args& a) { a.data = at<std::uint8_t>(0x2008); }), "data is"));
  CHECK(mentions(refusal([](Args& a) { a.scales = at<float>(0x3004); }), "scales is"));
  CHECK(mentions(refusal([](Args& a) { a.rows = -1; }), "rows is -1"));
  CHECK(mentions(refusal([](Args& a) { a.cols = 136; }), "cols is 136"));
  CHECK(mentions(refusal([](Args& a) { a.cols = 0; }), "cols is 0"));
  CHECK(mentions(refusal([](Args& a) { a.rows = std::int64_t{1} << 45; }), "2^47"));
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const float eps : {0.0F, -1.0F, 0x1p-118F, kInfinity, kNan}) {
    CHECK(mentions(refusal([eps](Args& a) { a.eps = eps; }), "eps is"));
  }
}

}  // namespace

TEST_CASE("MX: bad arguments are refused by name", "[mx]") {
  CHECK(mxfp4_refusal([](Mxfp4&) {}) == "accepted");
  CHECK(mxfp4_refusal([](Mxfp4& a) { a.rows = 0, a.x = nullptr; }) == "accepted");
  CHECK(mentions(mxfp4_refusal([](Mxfp4& a) { a.x = nullptr; }), "x is a null pointer"));
  CHECK(mentions(mxfp4_refusal([](Mxfp4& a) { a.x = at<void>(0x1010); }), "32 bytes"));
  CHECK(mentions(mxfp4_refusal([](Mxfp4& a) { a.codes = at<std::uint8_t>(0x2008); }), "codes is"));
  CHECK(mentions(mxfp4_refusal([](Mxfp4& a) { a.scales = nullptr; }), "scales is a null"));
  CHECK(mentions(mxfp4_refusal([](Mxfp4& a) { a.cols = 48; }), "multiple of 32"));
  CHECK(mentions(mxfp4_refusal([](Mxfp4& a) { a.rows = -3; }), "rows is -3"));
  CHECK(mentions(mxfp4_refusal([](Mxfp4& a) { a.rows = std::int64_t{1} << 45; }), "2^47"));
  CHECK(mxfp8_refusal([](Mxfp8&) {}) == "accepted");
  CHECK(mxfp8_refusal([](Mxfp8& a) { a.padded_cols = 64; }) == "accepted");
  CHECK(mentions(mxfp8_refusal([](Mxfp8& a) { a.data = nullptr; }), "data is a null"));
  CHECK(mentions(mxfp8_refusal([](Mxfp8& a) { a.cols = 16; }), "cols is 16"));
  CHECK(mentions(mxfp8_refusal([](Mxfp8& a) { a.padded_cols = 0; }), "padded_cols is 0"));
  CHECK(mentions(mxfp8_refusal([](Mxfp8& a) { a.padded_cols = (std::int64_t{1} << 34) + 32; }),
                 "at most 17179869184"));
  CHECK(mentions(mxfp8_refusal([](Mxfp8& a) { a.padded_cols = 32; }), "not less than cols, 64"));
  CHECK(mentions(mxfp8_refusal([](Mxfp8& a) { a.padded_cols = 80; }), "multiple of 32"));
  CHECK(mentions(mxfp8_refusal([](Mxfp8& a) { a.padded_cols = std::int64_t{1} << 46; }), "2^47"));
}

TEST_CASE("block-FP8: bad arguments are refused by name", "[fp8]") {
  check_fp8_refusals<Row>();
  check_fp8_refusals<Tile>();
}

TEST_CASE("MX: the scale buffer's size and the memory of a call", "[mx]") {
  CHECK(fourge::mx_scale_bytes("linear", 5, 96) == 15);
  CHECK(fourge::mx_scale_bytes("128x4", 129, 160) == 256 * 8);
  CHECK(fourge::mx_scale_bytes("8x4", 9, 32) == 16 * 4);
  CHECK_THROWS_AS(fourge::mx_scale_bytes("4x4", 1, 32), Error);
  const auto fp4 = regions("mxfp4_quantize[layout=8x4]@sm_90a", mxfp4_args());
  REQUIRE(fp4.size() == 3);
  CHECK(fp4[0].bytes == 5 * 64 * 2);
  CHECK(fp4[1].bytes == 5 * 32);
  CHECK(fp4[2].bytes == 8 * 4);
  const auto fp8 = regions("mxfp8_quantize[layout=linear]@sm_90a", mxfp8_args());
  REQUIRE(fp8.size() == 3);
  CHECK(fp8[0].bytes == 5 * 64 * 2);
  CHECK(fp8[1].bytes == 5 * 128);
  CHECK(fp8[2].bytes == 5 * 4);
}

TEST_CASE("block-FP8: the scale buffer's size and the memory of a call", "[fp8]") {
  CHECK(fourge::fp8_scale_count_1x128("row_major", 5, 144) == 10);
  CHECK(fourge::fp8_scale_count_1x128("transposed", 5, 144) == 16);
  CHECK(fourge::fp8_scale_count_128x128(129, 400) == 8);
  CHECK_THROWS_AS(fourge::fp8_scale_count_1x128("columns", 1, 128), Error);
  const auto row = regions("fp8_quantize_1x128[storage=transposed]@sm_90a", fp8_args<Row>());
  REQUIRE(row.size() == 3);
  CHECK(row[0].bytes == 5 * 144 * 2);
  CHECK(row[1].bytes == 5 * 144);
  CHECK(row[2].bytes == 16 * 4);
  CHECK(regions("fp8_quantize_128x128@sm_90a", fp8_args<Tile>())[2].bytes == 2 * 4);
}

TEST_CASE("MX: the launches cover all of the scales and stay within the grid's limits", "[mx]") {
  Mxfp4 fp4 = mxfp4_args();
  fp4.rows = 70000;
  fp4.cols = 32 * 130;
  const auto tall = launch("mxfp4_quantize[layout=128x4,tpc=2]@sm_90a", fp4);
  CHECK(tall.grid[0] == 2);
  CHECK(tall.block[0] == 128);
  CHECK(tall.grid[1] == 35008);
  Mxfp8 fp8 = mxfp8_args();
  const auto small = launch("mxfp8_quantize[layout=128x4,tpc=4]@sm_90a", fp8);
  CHECK(small.grid[0] == 1);
  CHECK(small.block[0] == 32);
  CHECK(small.grid[1] == 32);
  CHECK(launch("mxfp8_quantize[layout=linear,tpc=2]@sm_90a", fp8).grid[1] == 3);
  fp8.padded_cols = fp8.cols = 32 * 130;
  CHECK(launch("mxfp8_quantize[layout=linear,tpc=2]@sm_90a", fp8).grid[0] == 2);
  fp8.rows = 0;
  CHECK(launch("mxfp8_quantize@sm_90a", fp8).empty);
}

namespace {

// grid x, y and z.
std::string grid(const char* spec, const auto& args) {
  const auto shape = launch(spec, args);
  CHECK(shape.block[0] == 128);
  return std::to_string(shape.grid[0]) + " " + std::to_string(shape.grid[1]) + " " +
         std::to_string(shape.grid[2]);
}

}  // namespace

TEST_CASE("MX, one row at a time: a flat range where rows do not matter, tiles or rows elsewhere",
          "[mx]") {
  Mxfp4 fp4 = mxfp4_args();
  fp4.rows = 70000;
  fp4.cols = 32 * 130;
  const char* linear4 = "mxfp4_quantize[layout=linear,tpc=1]@sm_90a";
  CHECK(grid(linear4, fp4) == "71094 1 1");
  for (const char* tiled :
       {"mxfp4_quantize[layout=128x4,tpc=1]@sm_90a", "mxfp4_quantize[layout=8x4,tpc=1]@sm_90a"}) {
    // 16 columns of 132, 8 rows
    fp4.rows = 70016;
    CHECK(grid(tiled, fp4) == "9 8752 1");
    fp4.rows = 8 * 65536;
    CHECK(grid(tiled, fp4) == "9 32768 2");
  }
  fp4.cols = 32;
  fp4.rows = std::int64_t{1} << 38;
  CHECK(grid(linear4, fp4) == "1073741824 2 1");
  CHECK_THROWS_AS(launch("mxfp4_quantize[layout=8x4,tpc=1]@sm_90a", fp4), Error);

  Mxfp8 fp8 = mxfp8_args();
  fp8.rows = 70000;
  fp8.padded_cols = fp8.cols = 32 * 130;
  const char* linear8 = "mxfp8_quantize[layout=linear,tpc=1]@sm_90a";
  CHECK(grid(linear8, fp8) == "142188 1 1");  // half blocks
  CHECK(grid("mxfp8_quantize[layout=8x4,tpc=1]@sm_90a", fp8) == "3 35000 2");
  fp8.padded_cols += 32;
  CHECK(grid(linear8, fp8) == "3 35000 2");
}

TEST_CASE("block-FP8, one row at a time: a flat range where rows do not matter", "[fp8]") {
  Row row = fp8_args<Row>();
  row.cols = 128 * 33;
  row.rows = 70000;
  CHECK(grid("fp8_quantize_1x128[storage=row_major,tpc=1]@sm_90a", row) == "144375 1 1");
  CHECK(grid("fp8_quantize_1x128[storage=transposed,tpc=1]@sm_90a", row) == "3 35000 2");
  // At most 8192 blocks: a warp for each, eight a CTA.
  row.rows = 248;
  auto few = launch("fp8_quantize_1x128[storage=row_major,tpc=1]@sm_90a", row);
  CHECK(few.block[0] == 256);
  CHECK(few.grid[0] == 1023);
  CHECK(few.grid[1] == 1);
  row.rows = 1;
  few = launch("fp8_quantize_1x128[storage=row_major,tpc=1]@sm_90a", row);
  CHECK(few.grid[0] == 5);
  CHECK(grid("fp8_quantize_1x128[storage=transposed,tpc=1]@sm_90a", row) == "3 4 1");
  row.rows = 249;
  CHECK(grid("fp8_quantize_1x128[storage=row_major,tpc=1]@sm_90a", row) == "514 1 1");
  row.rows = 70000;
  row.cols -= 16;  // the last block is not whole
  CHECK(grid("fp8_quantize_1x128[storage=row_major,tpc=1]@sm_90a", row) == "3 35000 2");
}

TEST_CASE("block-FP8: the launches cover all blocks and stay within the grid's limits", "[fp8]") {
  Row row = fp8_args<Row>();
  row.cols = 128 * 33;
  row.rows = 5;
  const auto rows = launch("fp8_quantize_1x128[storage=transposed,tpc=2]@sm_90a", row);
  CHECK(rows.grid[0] * rows.block[0] >= 33 * 8);
  CHECK(rows.grid[1] == 4);
  CHECK(launch("fp8_quantize_1x128[storage=row_major,tpc=2]@sm_90a", row).grid[1] == 3);
  row.rows = 1000000;
  CHECK(launch("fp8_quantize_1x128[tpc=4]@sm_90a", row).grid[1] == 65535);
  row.rows = 0;
  CHECK(launch("fp8_quantize_1x128@sm_90a", row).empty);
  Tile tile = fp8_args<Tile>();
  tile.rows = 129;
  const auto tiles = launch("fp8_quantize_128x128@sm_90a", tile);
  CHECK(tiles.grid[0] == 2);
  CHECK(tiles.grid[1] == 2);
  CHECK(tiles.block[0] == 256);
  tile.rows = std::int64_t{1} << 30;
  CHECK(launch("fp8_quantize_128x128@sm_90a", tile).grid[1] == 4096);
  tile.rows = 0;
  CHECK(launch("fp8_quantize_128x128@sm_90a", tile).empty);
}
