#include <fourge/moe_route.hpp>

#include "tests/jit/op_args.hpp"

#include <cmath>

using namespace fourge;
using namespace fourge::tests;
using Args = MoeRouteTopkArgs;

namespace {

Args good_args() {
  Args args;
  args.logits = at<void>(0x1000);
  args.bias = at<float>(0x2000);
  args.ids = at<std::int32_t>(0x3000);
  args.weights = at<float>(0x4000);
  args.tokens = 5;
  args.experts = 64;
  args.top_k = 4;
  args.groups = 8;
  args.kept_groups = 4;
  return args;
}

bool refused(const std::string& part, const std::function<void(Args&)>& change,
             const std::string& axes = "[method=deepseek]") {
  const std::string text = refusal_with_axes<Args>(axes, good_args(), change);
  INFO(text);
  CHECK(mentions(text, part));
  return mentions(text, part);
}

}  // namespace

TEST_CASE("moe route: bad arguments are refused by name", "[moe-route]") {
  CHECK(refused("accepted", [](Args&) {}));
  CHECK(refused("logits is a null", [](Args& a) { a.logits = nullptr; }));
  CHECK(refused(
      "logits is", [](Args& a) { a.logits = at<void>(0x1002); }, "[in=f32]"));
  CHECK(refused("accepted", [](Args& a) { a.logits = at<void>(0x1002); }));
  CHECK(refused("ids is a null", [](Args& a) { a.ids = nullptr; }));
  CHECK(refused("weights is", [](Args& a) { a.weights = at<float>(0x4001); }));
  CHECK(refused("bias is", [](Args& a) { a.bias = at<float>(0x2002); }));
  CHECK(refused("accepted", [](Args& a) { a.bias = nullptr; }));
  CHECK(refused("tokens is -1", [](Args& a) { a.tokens = -1; }));
  CHECK(refused("experts is 513", [](Args& a) { a.experts = 513; }));
  CHECK(refused("experts is 0", [](Args& a) { a.experts = 0; }));
  CHECK(refused("top_k is 33; it must be from 1 to 32", [](Args& a) { a.top_k = 33; }));
  CHECK(refused("top_k is 0", [](Args& a) { a.top_k = 0; }));
  CHECK(refused(
      "top_k is 9; it must be from 1 to 8",
      [](Args& a) {
        a.experts = 8;
        a.top_k = 9;
      },
      ""));
  CHECK(refused(
      "top_k is 4; it must be from 1 to 1", [](Args&) {}, "[method=llama4]"));
  CHECK(refused("groups is 0", [](Args& a) { a.groups = 0; }));
  CHECK(refused("groups is 33", [](Args& a) { a.groups = 33; }));
  CHECK(refused("kept_groups is 9", [](Args& a) { a.kept_groups = 9; }));
  CHECK(refused("multiple of groups, 7", [](Args& a) { a.groups = 7; }));
  CHECK(refused("twice as many", [](Args& a) { a.experts = 8; }));
  CHECK(refused("top_k is 9; it must be from 1 to 8", [](Args& a) {
    a.kept_groups = 1;
    a.top_k = 9;
  }));
  CHECK(refused("scale is", [](Args& a) { a.scale = std::nanf(""); }));
  CHECK(refused(
      "accepted", [](Args& a) { a.groups = 0; }, ""));
}

TEST_CASE("moe route: launches and regions", "[moe-route]") {
  Args args = good_args();
  const char* spec = "moe_route_topk[in=f32,method=deepseek]@sm_90a";
  CHECK(launch(spec, args).grid[0] == 2);
  CHECK(launch(spec, args).block[1] == 4);
  const auto list = regions(spec, args);
  REQUIRE(list.size() == 4);
  CHECK(list[0].bytes == 5 * 64 * 4);
  CHECK(list[1].bytes == 80);
  CHECK(list[2].bytes == 80);
  CHECK(list[3].bytes == 256);
  CHECK(regions("moe_route_topk@sm_90a", args).size() == 3);
  args.tokens = 0;
  CHECK(launch(spec, args).empty);
}
