// An operation from outside (docs/adding_an_op.md) on the device: every variant, in guarded buffers,
// against the reference's conversions; cached by the first Runtime, found by the second.
#include "examples/custom_op/scaled_cast.hpp"
#include "reference/formats.hpp"
#include "tests/gpu/gpu_fixture.hpp"
#include "tests/runtime/scratch.hpp"
#include "tests/support/catch.hpp"

#include <cmath>
#include <vector>

namespace fourge::tests {
namespace {

constexpr std::int64_t kRows = 67;
constexpr std::int64_t kCols = 4112;
constexpr std::size_t kElements = kRows * kCols;
constexpr std::size_t kGuard = 512;
constexpr std::uint8_t kPoison = 0xA5;

struct Input {
  std::vector<std::uint16_t> x;
  std::vector<float> scales;
};

// Every 16-bit pattern, several times.
Input make_input() {
  Input input;
  for (std::size_t i = 0; i < kElements; ++i) {
    input.x.push_back(static_cast<std::uint16_t>(i * 40503U));
  }
  for (std::int64_t row = 0; row < kRows; ++row) {
    input.scales.push_back(std::ldexp(row % 3 == 0 ? -1.3F : 1.0F, static_cast<int>(row % 16) - 8));
  }
  return input;
}

std::vector<std::uint8_t> expected_codes(const KernelSpec& spec, const Input& input, float scale) {
  const auto type =
      spec.get("in") == "bf16" ? reference::ElementType::bf16 : reference::ElementType::f16;
  std::vector<std::uint8_t> codes;
  for (std::size_t i = 0; i < kElements; ++i) {
    const float factor =
        spec.get("scale") == "row" ? input.scales[i / static_cast<std::size_t>(kCols)] : scale;
    float value = reference::to_float(type, input.x[i]);
    value = std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0F, value) : value;
    value *= factor;
    value = std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0F, value) : value;
    codes.push_back(reference::encode_e4m3(value));
  }
  return codes;
}

// The codes with their guards.
std::vector<std::uint8_t> run(const Gpu& gpu, const Kernel& kernel, const Input& input,
                              float scale) {
  const Stream stream(gpu.context());
  DeviceBuffer x(gpu.context(), kElements * 2);
  DeviceBuffer scales(gpu.context(), input.scales.size() * sizeof(float));
  DeviceBuffer codes(gpu.context(), kElements + 2 * kGuard);
  x.upload(input.x.data(), kElements * 2, stream.get());
  scales.upload(input.scales.data(), input.scales.size() * sizeof(float), stream.get());
  codes.fill(kPoison, stream.get());
  ScaledCastArgs args;
  args.x = x.data();
  args.codes = codes.data() + kGuard;
  args.row_scales = reinterpret_cast<const float*>(scales.data());
  args.scale = scale;
  args.rows = kRows;
  args.cols = kCols;
  kernel.launch(args, stream.get());
  std::vector<std::uint8_t> found(kElements + 2 * kGuard);
  codes.download(found.data(), found.size(), stream.get());
  stream.synchronize();
  return found;
}

}  // namespace

TEST_CASE("an operation from outside runs on the device and comes from the cache", "[custom_op]") {
  const Gpu& gpu = Gpu::get();
  const Scratch scratch;
  Options options = scratch.options();
  options.ops.add(scaled_cast_op(), FOURGE_SOURCE_DIR "/examples/custom_op/templates");
  const Input input = make_input();
  const auto specs = legal_variants(scaled_cast_op(), gpu.target());
  REQUIRE(specs.size() == 4);
  for (const bool first : {true, false}) {
    Runtime runtime(options);
    for (const KernelSpec& spec : specs) {
      INFO(spec.text());
      const Kernel kernel = runtime.prepare(runtime.parse(spec.text()));
      auto expected = expected_codes(spec, input, 0.3F);
      expected.insert(expected.begin(), kGuard, kPoison);
      expected.insert(expected.end(), kGuard, kPoison);
      CHECK(run(gpu, kernel, input, 0.3F) == expected);
    }
    CHECK(runtime.stats().compiles == (first ? specs.size() : 0));
    CHECK(runtime.stats().disk_hits == (first ? 0 : specs.size()));
  }
}

}  // namespace fourge::tests
