#include <fourge/moe_activation_quantize.hpp>

#include "tests/jit/op_args.hpp"

#include <cmath>

using namespace fourge;
using namespace fourge::tests;
using Args = MoeActivationQuantizeArgs;

namespace {

Args good_args() {
  Args args;
  args.x = at<void>(0x1000);
  args.q = at<void>(0x2000);
  args.scales = at<std::uint8_t>(0x3000);
  args.token_scales = at<float>(0x4000);
  args.scale = at<float>(0x5000);
  args.expert_rows = at<std::int64_t>(0x6000);
  args.rows = 5;
  args.cols = 64;
  args.experts = 3;
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

TEST_CASE("moe activation: bad arguments are refused by name", "[moe-activation]") {
  CHECK(refused("accepted", [](Args&) {}));
  CHECK(refused("x is a null pointer", [](Args& a) { a.x = nullptr; }));
  CHECK(refused("bias is", [](Args& a) { a.bias = at<void>(0x1010); }));
  CHECK(refused("q is", [](Args& a) { a.q = at<void>(0x2008); }));
  CHECK(refused("scales is a null", [](Args& a) { a.scales = nullptr; }));
  CHECK(refused(
      "accepted", [](Args& a) { a.scales = nullptr; }, "[out=same]"));
  CHECK(refused(
      "token_scales is a null",
      [](Args& a) {
        a.token_scales = nullptr;
        a.scale_value = 1.0F / 2688.0F;
      },
      "[scale=token]"));
  CHECK(refused(
      "scale is a null", [](Args& a) { a.scale = nullptr; }, "[scale=expert,layout=128x4]"));
  CHECK(refused(
      "scale=expert needs it", [](Args& a) { a.expert_rows = nullptr; },
      "[scale=expert,layout=128x4]"));
  CHECK(refused("scale_value is 0", [](Args& a) {
    a.scale = nullptr;
    a.scale_value = 0;
  }));
  CHECK(refused("expert_rows is", [](Args& a) { a.expert_rows = at<std::int64_t>(0x6004); }));
  CHECK(refused("experts is 0", [](Args& a) { a.experts = 0; }));
  CHECK(refused("experts is -1", [](Args& a) { a.experts = -1; }));
  CHECK(refused("rows is -1", [](Args& a) { a.rows = -1; }));
  CHECK(refused("cols is 24", [](Args& a) { a.cols = 24; }));
  CHECK(refused(
      "cols is 48", [](Args& a) { a.cols = 48; }, "[out=mxfp8]"));
  CHECK(refused("2^47", [](Args& a) { a.rows = std::int64_t{1} << 50; }));
  CHECK(refused(
      "limit is 0", [](Args& a) { a.limit = 0; }, "[act=clamped]"));
  CHECK(refused("accepted", [](Args& a) { a.limit = 0; }));
  CHECK(refused(
      "alpha is", [](Args& a) { a.alpha = std::nanf(""); }, "[act=clamped]"));
}

TEST_CASE("moe activation: illegal combinations are refused by name", "[moe-activation]") {
  const auto refusal = [](const std::string& axes) {
    return fourge::tests::refusal_of_spec("moe_activation_quantize[" + axes + "]@sm_90a");
  };
  CHECK(mentions(refusal("act=relu2,order=gate_first"), "two halves"));
  CHECK(refusal("act=geglu_tanh,order=gate_first") == "accepted");
  CHECK(mentions(refusal("out=fp8,layout=8x4"), "layout must be linear"));
  CHECK(mentions(refusal("out=mxfp8,scale=expert"), "scale must be tensor"));
  CHECK(mentions(refusal("scale=expert"), "layout=128x4"));
  CHECK(mentions(refusal("out=same,round=unrounded"), "round must be rounded"));
  CHECK(mentions(refusal("round=unrounded,4over6=mae448"), "4over6"));
}

TEST_CASE("moe activation: a warp takes a row of many, where that is faster", "[moe-activation]") {
  const auto by_warp = [](std::int64_t rows, std::int64_t cols, const char* axes, bool bias) {
    Args args = good_args();
    args.rows = rows;
    args.cols = cols;
    args.bias = bias ? at<void>(0x9000) : nullptr;
    const std::string text = std::string("moe_activation_quantize[") + axes + "]@sm_90a";
    const LaunchShape shape = launch(text.c_str(), args);
    const bool warp = shape.block[0] == 32 && cols > 512;
    const bool waits = text.find("scale=token") != std::string::npos;  // in shared memory
    CHECK(shape.dynamic_shared_bytes == (warp && waits ? 8 * cols : 0));
    if (warp) {
      CHECK(shape.block[1] == 4);
      CHECK(shape.grid[0] == (rows + 3) / 4);
    }
    return warp;
  };
  CHECK(by_warp(16 * 132, 2048, "scale=token", false));
  CHECK(by_warp(131072, 1024, "scale=token,out=fp8", false));
  CHECK(by_warp(131072, 4096, "scale=token,4over6=mae448,act=relu2", false));
  CHECK(by_warp(16 * 132, 2048, "scale=tensor", false));
  CHECK(by_warp(131072, 4096, "4over6=mse256,act=geglu", false));
  CHECK_FALSE(by_warp(16 * 132 - 1, 2048, "scale=token", false));
  CHECK_FALSE(by_warp(16 * 132 - 1, 2048, "scale=tensor", false));
  CHECK_FALSE(by_warp(131072, 2048, "scale=tensor", true));
  CHECK(by_warp(131072, 2048, "scale=tensor,layout=8x4", false));
  CHECK(by_warp(131072, 2048, "scale=expert,layout=128x4", false));
  CHECK_FALSE(by_warp(131072, 2048, "scale=expert,layout=128x4", true));
  CHECK_FALSE(by_warp(131072, 2048, "round=unrounded", false));
  CHECK_FALSE(by_warp(131072, 2048, "out=fp8", false));
  CHECK_FALSE(by_warp(131072, 2048, "scale=token", true));
  CHECK_FALSE(by_warp(131072, 2048, "scale=token,layout=128x4", false));
  CHECK_FALSE(by_warp(131072, 2048, "scale=token,round=unrounded", false));
  for (const std::int64_t cols : {512, 1008, 2064, 4608}) {
    CHECK_FALSE(by_warp(131072, cols, "scale=token", false));
    CHECK_FALSE(by_warp(131072, cols, "scale=tensor", false));
  }
}

TEST_CASE("moe activation: launches and regions", "[moe-activation]") {
  Args args = good_args();
  const char* spec = "moe_activation_quantize[layout=128x4]@sm_90a";
  args.rows = 1000;
  auto shape = launch(spec, args);
  CHECK(shape.block[0] == 32);
  CHECK(shape.block[1] == 4);
  CHECK(shape.grid[0] == 250);
  args.experts = 128;  // whose padding takes CTAs, too
  CHECK(launch(spec, args).grid[0] == 512);
  args.experts = 3;
  args.cols = 1024;
  CHECK(launch(spec, args).block[0] == 64);
  CHECK(launch(spec, args).block[1] == 2);
  CHECK(launch(spec, args).grid[0] == 500);
  CHECK(launch("moe_activation_quantize[scale=token]@sm_90a", args).block[1] == 1);
  const char* walked = "moe_activation_quantize[layout=128x4,round=unrounded]@sm_90a";
  args.cols = 2048;
  CHECK(launch(walked, args).block[0] == 128);
  CHECK(launch(walked, args).block[1] == 1);
  args.rows = 8191;
  CHECK(launch(walked, args).grid[0] == 8191);
  args.rows = 8193;  // four, one after another
  CHECK(launch(walked, args).grid[0] == 2049);
  CHECK(launch("moe_activation_quantize[out=same]@sm_90a", args).grid[0] == 8193);
  args.rows = 32768;  // eight, where experts are looked up
  CHECK(launch(walked, args).grid[0] == 4096);
  CHECK(launch("moe_activation_quantize[out=fp8]@sm_90a", args).grid[0] == 8192);
  args.rows = 65536;
  CHECK(launch("moe_activation_quantize[out=fp8]@sm_90a", args).grid[0] == 8192);
  args.rows = 8193;
  args.cols = 512;
  CHECK(launch(walked, args).grid[0] == 513);
  args.cols = 100000;
  CHECK(launch(spec, args).block[0] == 256);
  args.rows = 0;
  CHECK(launch(spec, args).empty);
  args = good_args();
  const auto list = regions(spec, args);
  REQUIRE(list.size() == 5);
  CHECK(list[0].bytes == 5 * 128 * 2);
  CHECK(list[1].bytes == 160);
  CHECK(list[2].bytes == 512 * 4);
  CHECK(list[3].bytes == 4);
  CHECK(list[4].bytes == 32);
  CHECK(moe::activation_scale_bytes("same", "linear", 5, 64, 0) == 0);
  CHECK(moe::activation_scale_bytes("nvfp4", "linear", 5, 64, 3) == 20);
}
