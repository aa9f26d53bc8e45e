// An operation from outside (docs/adding_an_op.md) prepared and launched on a make-believe libcuda: its
// launch rule and its arguments reach the driver.
#include <cstring>
#include <fourge/runtime.hpp>

#include "examples/custom_op/scaled_cast.hpp"
#include "tests/gpu/driver_probe.hpp"
#include "tests/runtime/scratch.hpp"

namespace fourge::tests {
namespace {

template <class T>
T value_of(const FakeLaunch& launch, std::size_t param) {
  T value;
  std::memcpy(&value, launch.values[param].data(), sizeof(T));
  return value;
}

}  // namespace

TEST_CASE("an operation from outside is launched like a built-in one", "[runtime][driver]") {
  FakeCuda& fake = reset_fake();
  const auto params = scaled_cast_op().params;
  fake.param_count = params.size();
  for (std::size_t i = 0; i < params.size(); ++i) {
    fake.params[i] = {params[i].offset, params[i].size};
  }
  const Scratch scratch;
  Options options = scratch.options();
  options.driver_library = FOURGE_FAKE_CUDA;
  options.ops.add(scaled_cast_op(), FOURGE_SOURCE_DIR "/examples/custom_op/templates");
  Runtime runtime(options);
  const DeviceContext context(0, ContextKind::primary, FOURGE_FAKE_CUDA);
  const KernelSpec spec = runtime.parse("scaled_cast[scale=row]", runtime.device_target());
  const Kernel kernel = runtime.prepare(spec);
  CHECK(runtime.stats().compiles == 1);

  ScaledCastArgs args;
  args.x = reinterpret_cast<const void*>(std::uintptr_t{1} << 20U);
  args.codes = reinterpret_cast<std::uint8_t*>(std::uintptr_t{2} << 20U);
  args.scale = 0.25F;
  args.rows = 100'000;
  args.cols = 4112;
  CHECK(failure_of([&] { kernel.launch(args, nullptr); }).says("row_scales must be aligned"));
  args.row_scales = reinterpret_cast<const float*>(std::uintptr_t{3} << 20U);
  kernel.launch(args, nullptr);
  REQUIRE(fake.launch_count == 1);
  const FakeLaunch& launch = fake.launches[0];
  CHECK(launch.config.blockDimX == 128);
  CHECK(launch.config.gridDimX == 3);
  CHECK(launch.config.gridDimY == 65535);
  CHECK(value_of<const void*>(launch, 0) == args.x);
  CHECK(value_of<const float*>(launch, 2) == args.row_scales);
  CHECK(value_of<float>(launch, 3) == 0.25F);
  CHECK(value_of<std::int64_t>(launch, 4) == 100'000);
  CHECK(value_of<std::int64_t>(launch, 5) == 4112);

  // The second Runtime takes it from the disk.
  Runtime again(options);
  again.prepare(again.parse(spec.text())).launch(args, nullptr);
  CHECK(again.stats().compiles == 0);
  CHECK(again.stats().disk_hits == 1);
  CHECK(fake.launch_count == 2);
  args.rows = 0;
  kernel.launch(args, nullptr);
  CHECK(fake.launch_count == 2);
}

}  // namespace fourge::tests
