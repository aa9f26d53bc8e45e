// row_amax, global_scale, scale_interleave and scale_deinterleave: refusals, memory, launches.
#include <fourge/amax.hpp>
#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/scale_interleave.hpp>

#include "tests/jit/op_args.hpp"
#include "tests/support/catch.hpp"

#include <functional>
#include <limits>

using fourge::BufferRegion;
using fourge::Error;
using fourge::KernelSpec;
using fourge::LaunchShape;
using Row = fourge::RowAmaxArgs;
using Tensor = fourge::GlobalScaleArgs;
using Interleave = fourge::ScaleInterleaveArgs;
using Deinterleave = fourge::ScaleDeinterleaveArgs;

namespace {

using fourge::tests::at;
using fourge::tests::launch;
using fourge::tests::mentions;
using fourge::tests::refusal_with_axes;
using fourge::tests::regions;

Row row_args() { return {at<void>(0x1000), at<float>(0x2000), nullptr, 1.0F, 5, 64, 0}; }
Tensor tensor_args() {
  return {at<void>(0x1000), at<float>(0x2000), at<float>(0x2004), at<std::uint32_t>(0x3000), 320};
}
template <class Args>
Args scale_args() {
  return {at<std::uint8_t>(0x1000), at<std::uint8_t>(0x2000), 5, 7, 2};
}

template <class Args>
std::string refusal_of(const Args& args, const std::function<void(Args&)>& change) {
  return refusal_with_axes("", args, change);
}

std::string row_refusal(const std::function<void(Row&)>& change) {
  return refusal_of(row_args(), change);
}
std::string tensor_refusal(const std::function<void(Tensor&)>& change) {
  return refusal_of(tensor_args(), change);
}

template <class Args>
void check_scale_refusals() {
  const auto refusal = [](const std::function<void(Args&)>& change) {
    return refusal_of(scale_args<Args>(), change);
  };
  CHECK(refusal([](Args&) {}) == "accepted");
  CHECK(refusal([](Args& a) { a.rows = 0, a.linear = nullptr; }) == "accepted");
  CHECK(refusal([](Args& a) { a.batches = 0, a.tiled = nullptr; }) == "accepted");
  CHECK(mentions(refusal([](Args& a) { a.linear = nullptr; }), "linear is a null pointer"));
  CHECK(mentions(refusal([](Args& a) { a.tiled = at<std::uint8_t>(0x2004); }), "tiled is"));
  CHECK(mentions(refusal([](Args& a) { a.linear = at<std::uint8_t>(0x1008); }), "16 bytes"));
  CHECK(mentions(refusal([](Args& a) { a.rows = -1; }), "rows is -1"));
  CHECK(mentions(refusal([](Args& a) { a.columns = 0; }), "columns is 0"));
  CHECK(mentions(refusal([](Args& a) { a.batches = -1; }), "batches is -1"));
  CHECK(mentions(refusal([](Args& a) { a.rows = std::int64_t{1} << 46; }), "2^47"));
}

}  // namespace

TEST_CASE("row_amax: bad arguments are refused by name", "[amax]") {
  CHECK(row_refusal([](Row&) {}) == "accepted");
  CHECK(row_refusal([](Row& a) { a.rows = 0, a.x = nullptr; }) == "accepted");
  CHECK(row_refusal([](Row& a) { a.scale = 0.0F, a.mapped_rows = -7; }) == "accepted");
  CHECK(row_refusal([](Row& a) {
          a.row_map = at<const std::int32_t>(0x3004);
          a.x = nullptr;  // the map is empty
        }) == "accepted");
  CHECK(mentions(row_refusal([](Row& a) { a.x = nullptr; }), "x is a null pointer"));
  CHECK(mentions(row_refusal([](Row& a) { a.x = at<void>(0x1010); }), "32 bytes"));
  CHECK(mentions(row_refusal([](Row& a) { a.amax = at<float>(0x2002); }), "amax is"));
  CHECK(mentions(row_refusal([](Row& a) { a.rows = -1; }), "rows is -1"));
  CHECK(mentions(row_refusal([](Row& a) { a.cols = 72; }), "cols is 72"));
  CHECK(mentions(row_refusal([](Row& a) { a.rows = std::int64_t{1} << 45; }), "2^47"));
  CHECK(mentions(row_refusal([](Row& a) { a.row_map = at<const std::int32_t>(0x3002); }),
                 "row_map is"));
  CHECK(mentions(row_refusal([](Row& a) {
                   a.row_map = at<const std::int32_t>(0x3000);
                   a.mapped_rows = -7;
                 }),
                 "mapped_rows is -7"));
  using Limits = std::numeric_limits<float>;
  for (const float scale : {-1.0F, Limits::infinity(), Limits::quiet_NaN()}) {
    CHECK(mentions(row_refusal([scale](Row& a) { a.scale = scale; }), "scale is"));
  }
}

TEST_CASE("row_amax: memory and launches", "[amax]") {
  Row args = row_args();
  CHECK(regions("row_amax[in=bf16]@sm_90a", args).size() == 2);
  CHECK(regions("row_amax[in=bf16]@sm_90a", args)[0].bytes == 5 * 64 * 2);
  CHECK(regions("row_amax[in=f32]@sm_90a", args)[0].bytes == 5 * 64 * 4);
  CHECK(launch("row_amax[tpr=128]@sm_90a", args).grid[0] == 5);
  CHECK(launch("row_amax[tpr=512]@sm_90a", args).block[0] == 512);
  const auto warps = launch("row_amax[tpr=32]@sm_90a", args);
  CHECK(warps.block[0] == 128);
  CHECK(warps.grid[0] == 2);
  args.row_map = at<const std::int32_t>(0x3000);
  args.mapped_rows = 9;
  CHECK(launch("row_amax[tpr=128]@sm_90a", args).grid[0] == 9);
  REQUIRE(regions("row_amax@sm_90a", args).size() == 3);
  CHECK(regions("row_amax@sm_90a", args)[2].bytes == 36);
  args.mapped_rows = 0;
  CHECK(launch("row_amax@sm_90a", args).empty);
  args.mapped_rows = 9;
  args.rows = 0;
  CHECK(launch("row_amax@sm_90a", args).empty);
  args = row_args();
  args.rows = std::int64_t{1} << 40;
  CHECK(launch("row_amax@sm_90a", args).grid[0] == 0x7FFFFFFF);
}

TEST_CASE("global_scale: bad arguments are refused by name", "[amax]") {
  CHECK(tensor_refusal([](Tensor&) {}) == "accepted");
  CHECK(tensor_refusal([](Tensor& a) { a.elements = 0, a.x = nullptr; }) == "accepted");
  CHECK(mentions(tensor_refusal([](Tensor& a) { a.x = nullptr; }), "x is a null pointer"));
  CHECK(mentions(tensor_refusal([](Tensor& a) { a.x = at<void>(0x1010); }), "32 bytes"));
  CHECK(mentions(tensor_refusal([](Tensor& a) { a.elements = 24; }), "elements is 24"));
  CHECK(mentions(tensor_refusal([](Tensor& a) { a.elements = -16; }), "elements is -16"));
  CHECK(mentions(tensor_refusal([](Tensor& a) { a.elements = std::int64_t{1} << 48; }), "2^47"));
  CHECK(mentions(tensor_refusal([](Tensor& a) { a.elements = 0, a.amax = nullptr; }),
                 "amax is a null pointer"));
  CHECK(mentions(tensor_refusal([](Tensor& a) { a.global_scale = at<float>(0x2001); }),
                 "global_scale is"));
  CHECK(mentions(tensor_refusal([](Tensor& a) { a.workspace = nullptr; }),
                 "workspace is a null pointer"));
}

TEST_CASE("global_scale: memory and launches", "[amax]") {
  Tensor args = tensor_args();
  const auto list = regions("global_scale[in=f16]@sm_90a", args);
  REQUIRE(list.size() == 4);
  CHECK(list[0].bytes == 640);
  CHECK(list[3].bytes == fourge::global_scale_workspace_bytes());
  CHECK(list[3].access == fourge::Access::read_write);
  CHECK(regions("global_scale[in=f32]@sm_90a", args)[0].bytes == 1280);
  CHECK(launch("global_scale@sm_90a", args).grid[0] == 1);
  args.elements = 0;
  CHECK_FALSE(launch("global_scale@sm_90a", args).empty);
  CHECK(launch("global_scale@sm_90a", args).grid[0] == 1);
  args.elements = 32768 + 16;
  CHECK(launch("global_scale[in=bf16]@sm_90a", args).grid[0] == 2);
  CHECK(launch("global_scale[in=f32]@sm_90a", args).grid[0] == 3);
  args.elements = std::int64_t{1} << 40;
  CHECK(launch("global_scale@sm_90a", args).grid[0] == 264);
}

TEST_CASE("scale layouts: bad arguments are refused by name", "[interleave]") {
  check_scale_refusals<Interleave>();
  check_scale_refusals<Deinterleave>();
  CHECK_THROWS_AS(KernelSpec::parse("scale_interleave[layout=linear]@sm_90a"), Error);
}

TEST_CASE("scale layouts: memory and launches", "[interleave]") {
  CHECK(fourge::tiled_scale_bytes("128x4", 129, 5) == 256 * 8);
  CHECK(fourge::tiled_scale_bytes("8x4", 9, 4) == 16 * 4);
  CHECK_THROWS_AS(fourge::tiled_scale_bytes("linear", 9, 4), Error);
  auto args = scale_args<Interleave>();
  const auto list = regions("scale_interleave[layout=128x4]@sm_90a", args);
  REQUIRE(list.size() == 2);
  CHECK(list[0].bytes == 2 * 5 * 7);
  CHECK(list[0].access == fourge::Access::read);
  CHECK(list[1].bytes == 2 * 128 * 8);
  CHECK(list[1].access == fourge::Access::write);
  const auto back = regions("scale_deinterleave[layout=8x4]@sm_90a", scale_args<Deinterleave>());
  CHECK(back[0].access == fourge::Access::write);
  CHECK(back[1].bytes == 2 * 8 * 8);
  CHECK(back[1].access == fourge::Access::read);
  const auto shape = launch("scale_interleave[layout=128x4]@sm_90a", args);
  CHECK(shape.block[0] == 32);
  CHECK(shape.grid[0] == 1);
  CHECK(shape.grid[1] == 16);  // pairs of groups of four rows
  CHECK(shape.grid[2] == 2);
  CHECK(launch("scale_deinterleave[layout=8x4]@sm_90a", scale_args<Deinterleave>()).grid[1] == 1);
  args.columns = 4 * 65;
  CHECK(launch("scale_interleave@sm_90a", args).grid[0] == 2);
  args.rows = 2000000;
  args.batches = 70000;
  CHECK(launch("scale_interleave[layout=8x4]@sm_90a", args).grid[1] == 65535);
  CHECK(launch("scale_interleave@sm_90a", args).grid[2] == 65535);
  args.rows = 0;
  CHECK(launch("scale_interleave@sm_90a", args).empty);
}
