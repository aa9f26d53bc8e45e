#include <fourge/dequantize.hpp>
#include <fourge/error.hpp>
#include <fourge/kernel_spec.hpp>
#include <fourge/mx_quantize.hpp>
#include <fourge/nvfp4_quantize.hpp>

#include "tests/jit/op_args.hpp"
#include "tests/support/catch.hpp"

#include <functional>
#include <limits>

using fourge::BufferRegion;
using fourge::Error;
using fourge::KernelSpec;
using fourge::LaunchShape;
using Nvfp4 = fourge::Nvfp4DequantizeArgs;
using Mxfp4 = fourge::Mxfp4DequantizeArgs;
using Mxfp8 = fourge::Mxfp8DequantizeArgs;

namespace {

using fourge::tests::at;
using fourge::tests::launch;
using fourge::tests::mentions;
using fourge::tests::refusal_with_axes;
using fourge::tests::regions;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Nvfp4 nvfp4_args() {
  return {at<std::uint8_t>(0x1000),
          at<std::uint8_t>(0x2000),
          at<void>(0x3000),
          nullptr,
          0.5F,
          5,
          48,
          2};
}
Mxfp4 mxfp4_args() {
  return {at<std::uint8_t>(0x1000), at<std::uint8_t>(0x2000), at<void>(0x3000), 5, 64};
}
Mxfp8 mxfp8_args() {
  return {at<std::uint8_t>(0x1000), at<std::uint8_t>(0x2000), at<void>(0x3000), 5, 64, 128};
}

std::string nvfp4_refusal(const std::function<void(Nvfp4&)>& change,
                          const std::string& axes = "[scale=tensor]") {
  return refusal_with_axes(axes, nvfp4_args(), change);
}
std::string mxfp4_refusal(const std::function<void(Mxfp4&)>& change) {
  return refusal_with_axes("", mxfp4_args(), change);
}
std::string mxfp8_refusal(const std::function<void(Mxfp8&)>& change) {
  return refusal_with_axes("", mxfp8_args(), change);
}

}  // namespace

TEST_CASE("dequantization: bad pointers and shapes are refused by name", "[dequantize]") {
  CHECK(nvfp4_refusal([](Nvfp4&) {}) == "accepted");
  CHECK(nvfp4_refusal([](Nvfp4& a) { a.rows = 0, a.codes = nullptr; }) == "accepted");
  CHECK(nvfp4_refusal([](Nvfp4& a) { a.batches = 0, a.out = nullptr; }) == "accepted");
  CHECK(mentions(nvfp4_refusal([](Nvfp4& a) { a.codes = nullptr; }), "codes is a null pointer"));
  CHECK(
      mentions(nvfp4_refusal([](Nvfp4& a) { a.scales = at<std::uint8_t>(0x2008); }), "scales is"));
  CHECK(mentions(nvfp4_refusal([](Nvfp4& a) { a.out = at<void>(0x3010); }), "32 bytes"));
  CHECK(mentions(nvfp4_refusal([](Nvfp4& a) { a.rows = -1; }), "rows is -1"));
  CHECK(mentions(nvfp4_refusal([](Nvfp4& a) { a.batches = -2; }), "batches is -2"));
  CHECK(mentions(nvfp4_refusal([](Nvfp4& a) { a.cols = 24; }), "multiple of 16"));
  CHECK(mentions(nvfp4_refusal([](Nvfp4& a) { a.rows = std::int64_t{1} << 45; }), "2^47"));
  CHECK(mxfp4_refusal([](Mxfp4&) {}) == "accepted");
  CHECK(mentions(mxfp4_refusal([](Mxfp4& a) { a.cols = 48; }), "multiple of 32"));
  CHECK(mentions(mxfp4_refusal([](Mxfp4& a) { a.codes = at<std::uint8_t>(0x1008); }), "codes is"));
  CHECK(mxfp8_refusal([](Mxfp8&) {}) == "accepted");
  CHECK(mentions(mxfp8_refusal([](Mxfp8& a) { a.data = nullptr; }), "data is a null pointer"));
  CHECK(mentions(mxfp8_refusal([](Mxfp8& a) { a.padded_cols = 32; }), "not less than cols, 64"));
  CHECK(mentions(mxfp8_refusal([](Mxfp8& a) { a.padded_cols = 80; }), "multiple of 32"));
}

TEST_CASE("nvfp4_dequantize: the global scale is checked for what it is", "[dequantize]") {
  const auto with_value = [](const char* axes, float value) {
    return nvfp4_refusal([value](Nvfp4& a) { a.global_scale_value = value; }, axes);
  };
  CHECK(with_value("[scale=tensor]", 0.0F) == "accepted");
  for (const float value : {-1.0F, kInfinity, kNan}) {
    CHECK(mentions(with_value("[scale=tensor]", value), "decode scale"));
    CHECK(mentions(with_value("[scale=tensor_inv]", value), "encode scale"));
  }
  CHECK(mentions(with_value("[scale=tensor_inv]", 0.0F), "encode scale"));
  for (const char* axes : {"[scale=row]", "[scale=row_inv]"}) {
    CHECK(mentions(with_value(axes, 1.0F), "global_scale is a null pointer"));
    const auto with_pointer = [axes](std::uintptr_t address) {
      return nvfp4_refusal(
          [address](Nvfp4& a) {
            a.global_scale = at<const float>(address);
            a.global_scale_value = kNan;  // not looked at
          },
          axes);
    };
    CHECK(with_pointer(0x4004) == "accepted");
    CHECK(mentions(with_pointer(0x4002), "global_scale is"));
    CHECK(nvfp4_refusal([](Nvfp4& a) { a.rows = 0; }, axes) == "accepted");
  }
  CHECK(nvfp4_refusal([](Nvfp4& a) {
          a.global_scale = at<const float>(0x4000);
          a.global_scale_value = -1.0F;
        }) == "accepted");
}

TEST_CASE("dequantization: the memory of a call is that of the quantizer's", "[dequantize]") {
  Nvfp4 args = nvfp4_args();
  const auto value = regions("nvfp4_dequantize[out=bf16,layout=8x4]@sm_90a", args);
  REQUIRE(value.size() == 3);
  CHECK(value[0].bytes == 2 * 5 * 24);
  CHECK(value[1].bytes == 2 * fourge::nvfp4_scale_bytes("8x4", 5, 48));
  CHECK(value[2].bytes == 2 * 5 * 48 * 2);
  CHECK(value[2].access == fourge::Access::write);
  args.global_scale = at<const float>(0x4000);
  CHECK(regions("nvfp4_dequantize[scale=row]@sm_90a", args).at(3).bytes == 20);
  CHECK(regions("nvfp4_dequantize[scale=tensor_inv]@sm_90a", args).at(3).bytes == 4);
  const auto mx = regions("mxfp8_dequantize[out=f32,layout=128x4]@sm_90a", mxfp8_args());
  REQUIRE(mx.size() == 3);
  CHECK(mx[0].bytes == 5 * 128);
  CHECK(mx[1].bytes == fourge::mx_scale_bytes("128x4", 5, 128));
  CHECK(mx[2].bytes == 5 * 64 * 4);
  CHECK(regions("mxfp4_dequantize@sm_90a", mxfp4_args())[0].bytes == 5 * 32);
}

TEST_CASE("dequantization: the launches cover all rows within the grid's limits", "[dequantize]") {
  Nvfp4 args = nvfp4_args();
  args.cols = 8 * 130 + 16;
  const auto shape = launch("nvfp4_dequantize[layout=linear,tpc=2]@sm_90a", args);
  CHECK(shape.grid[0] * shape.block[0] >= 132);
  CHECK(shape.block[0] == 128);
  CHECK(shape.grid[1] == 3);
  CHECK(shape.grid[2] == 2);
  // Groups of a 128x4 tile interleave: 33 rows are 32 groups of up to four rows.
  args.rows = 33;
  CHECK(launch("nvfp4_dequantize[layout=128x4,tpc=4]@sm_90a", args).grid[1] == 32);
  CHECK(launch("nvfp4_dequantize[layout=128x4,tpc=1]@sm_90a", args).grid[1] == 33);
  args.rows = 129;
  CHECK(launch("nvfp4_dequantize[layout=128x4,tpc=4]@sm_90a", args).grid[1] == 33);
  CHECK(launch("nvfp4_dequantize[layout=128x4,tpc=2]@sm_90a", args).grid[1] == 65);
  args.rows = 1000000;
  args.batches = 70000;
  CHECK(launch("nvfp4_dequantize[tpc=4]@sm_90a", args).grid[1] == 65535);
  CHECK(launch("nvfp4_dequantize[tpc=4]@sm_90a", args).grid[2] == 65535);
  args.batches = 0;
  CHECK(launch("nvfp4_dequantize@sm_90a", args).empty);
  Mxfp8 mx = mxfp8_args();
  CHECK(launch("mxfp8_dequantize@sm_90a", mx).block[0] == 32);
  mx.rows = 0;
  CHECK(launch("mxfp8_dequantize@sm_90a", mx).empty);
}
