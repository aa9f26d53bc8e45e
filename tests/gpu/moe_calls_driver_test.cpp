// fourge::moe::Calls on a make-believe libcuda: what is launched, where, and what is refused. (That the
// results are right is shown by tests/ops/moe_pipeline_host_test.cpp, which makes the same calls.)
#include <fourge/moe.hpp>

#include "tests/gpu/driver_probe.hpp"
#include "tests/gpu/fake_runtime.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <string>

namespace fourge::tests {
namespace {

template <class T>
T* at(std::uintptr_t address) {
  return reinterpret_cast<T*>(address << 20U);
}

DeviceInfo device_with(int multiprocessors) {
  DeviceInfo device;
  device.name = "make-believe";
  device.major = 9;
  device.multiprocessors = multiprocessors;
  device.target = Target::parse("sm_90a");
  return device;
}

moe::RouteArgs route_args() {
  moe::RouteArgs args;
  args.topk.logits = at<void>(1);
  args.topk.ids = at<std::int32_t>(2);
  args.topk.weights = at<float>(3);
  args.topk.tokens = 5;
  args.topk.experts = 16;
  args.topk.top_k = 2;
  args.maps.rows = at<std::int32_t>(4);
  args.maps.row_entries = at<std::int32_t>(5);
  args.maps.expert_rows = at<std::int64_t>(6);
  args.maps.padded_rows = at<std::int32_t>(7);
  args.maps.first_expert = 8;
  args.maps.experts = 8;
  args.maps.tile = 8;
  args.maps.capacity = 80;
  return args;
}

MoeSwigluFp8BlockArgs swiglu_args(std::int64_t tokens) {
  MoeSwigluFp8BlockArgs args;
  args.x = at<std::uint8_t>(1);
  args.x_scales = at<float>(2);
  args.y = at<std::uint8_t>(3);
  args.y_scales = at<float>(4);
  args.row_map = at<std::int32_t>(5);
  args.padded_rows = at<std::int32_t>(6);
  args.tokens = tokens;
  args.top_k = 8;
  args.cols = 2048;
  args.capacity = 8 * tokens;
  return args;
}

}  // namespace

TEST_CASE("moe calls: a routing is two launches on the stream, the maps with the first one's ids",
          "[moe][driver]") {
  FakeCuda& fake = reset_fake();
  fake.missing = "cuKernelGetParamInfo";
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  const DeviceContext context(0, ContextKind::separate, FOURGE_FAKE_CUDA);
  const moe::Calls calls(runtime, device_with(132));
  auto* const stream = reinterpret_cast<CUstream_st*>(CU_STREAM_PER_THREAD);
  calls.route(route_args(), "in=f32", "index=padded", stream);
  REQUIRE(fake.launch_count == 2);
  CHECK(fake.launches[0].config.hStream == CU_STREAM_PER_THREAD);
  CHECK(fake.launches[1].config.hStream == CU_STREAM_PER_THREAD);

  moe::RouteArgs wrong = route_args();
  wrong.maps.expert_rows = nullptr;
  CHECK(failure_of([&] { calls.route(wrong, "in=f32", "", stream); }).says("expert_rows"));
  wrong = route_args();
  wrong.maps.first_expert = 9;
  CHECK(failure_of([&] { calls.route(wrong, "in=f32", "", stream); }).says("[9, 17)"));
  wrong = route_args();
  wrong.topk.top_k = 17;
  CHECK(failure_of([&] { calls.route(wrong, "in=f32", "", stream); }).says("top_k"));
  CHECK(fake.launch_count == 2);  // nothing was launched of those
}

TEST_CASE("moe calls: tokens per CTA follow from the device, unless the axes say",
          "[moe][driver]") {
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  // top 8, 2048 columns: C = 8 * tokens. Above 32 SM: 4, above 10 SM: 2.
  struct Row {
    int multiprocessors;
    std::int64_t first_2;  // the fewest tokens for 2
    std::int64_t first_4;
  };
  constexpr Row kRows[] = {{78, 98, 313}, {108, 136, 433}, {132, 166, 529}, {148, 186, 593}};
  for (const Row& row : kRows) {
    const moe::Calls calls(runtime, device_with(row.multiprocessors));
    const auto tpc = [&](std::int64_t tokens) {
      return std::string(calls.spec(swiglu_args(tokens), "form=clamped").get("tpc"));
    };
    CHECK(tpc(1) == "1");
    CHECK(tpc(row.first_2 - 1) == "1");
    CHECK(tpc(row.first_2) == "2");
    CHECK(tpc(row.first_4 - 1) == "2");
    CHECK(tpc(row.first_4) == "4");
    CHECK(tpc(16384) == "4");
    CHECK(calls.spec(swiglu_args(16384), "rows=inverse,tpc=1").get("tpc") == "1");
    CHECK(calls.spec(swiglu_args(16384), "").get("form") == "plain");
  }
}

TEST_CASE("moe calls: a device without a target is refused by name", "[moe][driver]") {
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  DeviceInfo device = device_with(20);
  device.target.reset();
  device.major = 5;
  CHECK(failure_of([&] { const moe::Calls calls(runtime, device); }).says("make-believe"));
  CHECK(failure_of([&] {
          moe::Calls::on_host(runtime, Target::parse("sm_90a"), 0);
        }).says("multiprocessors is 0"));
}

TEST_CASE("moe calls: every operation has its function", "[moe][driver]") {
  FakeCuda& fake = reset_fake();
  fake.missing = "cuKernelGetParamInfo";
  const Scratch scratch;
  Runtime runtime(fake_options(scratch));
  const DeviceContext context(0, ContextKind::separate, FOURGE_FAKE_CUDA);
  const moe::Calls calls(runtime, device_with(132));
  // With nothing to do arguments are enough as they are; nothing is launched.
  MoePermuteArgs permute;
  permute.cols = 128;
  permute.top_k = 1;
  calls.permute(permute, "", nullptr);
  MoeExpandQuantizeArgs expand;
  expand.cols = 128;
  expand.top_k = 1;
  calls.expand_quantize(expand, "", nullptr);
  MoeActivationQuantizeArgs activation;
  activation.cols = 128;
  calls.activation_quantize(activation, "", nullptr);
  MoeFinalizeArgs finalize;
  finalize.cols = finalize.x_cols = 128;
  finalize.top_k = 1;
  calls.finalize(finalize, "", nullptr);
  RmsnormQuantizeArgs norm;
  norm.cols = 128;
  calls.rmsnorm_quantize(norm, "", nullptr);
  CHECK(fake.launch_count == 0);
  calls.swiglu_fp8_block(swiglu_args(5), "", nullptr);
  calls.route_topk(route_args().topk, "in=f32", nullptr);
  MoeRouteMapsArgs maps = route_args().maps;
  maps.ids = at<std::int32_t>(9);
  maps.tokens = 5;
  maps.top_k = 2;
  calls.route_maps(maps, "", nullptr);
  CHECK(fake.launch_count == 3);
  CHECK(calls.prepare(swiglu_args(5), "").spec().get("tpc") == "1");
}

}  // namespace fourge::tests
