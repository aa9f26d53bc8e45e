// nvfp4_quantize against a second implementation on the device, on 10^8 random blocks a configuration;
// that one against the CPU reference on 10^6 of them. Hidden: asked for by name ("[random]").
#include "reference/nvfp4_quantize.hpp"
#include "tests/gpu/gpu_fixture.hpp"
#include "tests/gpu/random/slow_kernels.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/four_over_six.hpp"

#include <bit>
#include <cmath>
#include <random>

namespace fourge::tests {
namespace {

constexpr std::int64_t kCols = 1024;
constexpr std::int64_t kRows = 1 << 15;
constexpr std::int64_t kBlocks = kRows * kCols / 16;  // a round
constexpr std::int64_t kRounds = 48;
constexpr std::int64_t kRoundsWithReference = 1;  // of those, 2^20 blocks and more
static_assert(kBlocks * kRounds >= 100'000'000);
static_assert(kBlocks * kRoundsWithReference >= 1'000'000);

struct Buffers {
  explicit Buffers(const DeviceContext& context)
      : x(context, kBlocks * 32),
        codes(context, kBlocks * 8),
        scales(context, kBlocks),
        slow_codes(context, kBlocks * 8),
        slow_scales(context, kBlocks),
        count(context, sizeof(std::uint64_t)) {}
  DeviceBuffer x, codes, scales, slow_codes, slow_scales, count;
};

class Comparison {
 public:
  explicit Comparison(Gpu& gpu)
      : stream_(gpu.context()), slow_(gpu.target()), buffers_(gpu.context()) {
    buffers_.count.fill(0, stream_.get());
  }

  void make_blocks(std::uint64_t seed, int type) {
    RandomBlocksArgs args;
    args.x = x();
    args.blocks = kBlocks;
    args.seed = seed;
    args.type = type;
    slow_.launch(args, stream_.get());
  }
  void quantize_slowly(float global_scale, int type, int mode) {
    buffers_.slow_codes.fill(0x5A, stream_.get());
    buffers_.slow_scales.fill(0x5A, stream_.get());
    SlowQuantizeArgs args;
    args.x = x();
    args.codes = buffers_.slow_codes.data();
    args.scales = buffers_.slow_scales.data();
    args.blocks = kBlocks;
    args.global_scale = global_scale;
    args.type = type;
    args.mode = mode;
    slow_.launch(args, stream_.get());
  }
  void quantize(const Kernel& kernel, float global_scale) {
    buffers_.codes.fill(0xA5, stream_.get());
    buffers_.scales.fill(0xA5, stream_.get());
    Nvfp4QuantizeArgs args;
    args.x = buffers_.x.data();
    args.codes = buffers_.codes.data();
    args.scales = buffers_.scales.data();
    args.global_scale_value = global_scale;
    args.rows = kRows;
    args.cols = kCols;
    kernel.launch(args, stream_.get());
  }
  // Adds to differing_bytes().
  void compare() {
    compare(buffers_.codes, buffers_.slow_codes);
    compare(buffers_.scales, buffers_.slow_scales);
  }
  // Changes one bit of what quantize() made.
  void spoil(std::size_t at) {
    std::uint8_t byte = 0;
    buffers_.codes.download(&byte, 1, stream_.get(), at);
    stream_.synchronize();
    byte ^= 0x10U;
    buffers_.codes.upload(&byte, 1, stream_.get(), at);
    stream_.synchronize();
  }
  std::uint64_t differing_bytes() {
    std::uint64_t count = 0;
    buffers_.count.download(&count, sizeof count, stream_.get());
    stream_.synchronize();
    return count;
  }
  // Bytes in which the slow results differ from the reference's.
  std::uint64_t differences_from_reference(const KernelSpec& spec, float global_scale) {
    std::vector<std::uint16_t> x(static_cast<std::size_t>(kBlocks) * 16);
    reference::Nvfp4Output found{std::vector<std::uint8_t>(static_cast<std::size_t>(kBlocks) * 8),
                                 std::vector<std::uint8_t>(static_cast<std::size_t>(kBlocks))};
    buffers_.x.download(x.data(), x.size() * 2, stream_.get());
    buffers_.slow_codes.download(found.codes.data(), found.codes.size(), stream_.get());
    buffers_.slow_scales.download(found.scales.data(), found.scales.size(), stream_.get());
    stream_.synchronize();
    reference::QuantizeProblem problem;
    problem.input =
        spec.get("in") == "f16" ? reference::QuantizeInput::f16 : reference::QuantizeInput::bf16;
    problem.x = x;
    problem.rows = kRows;
    problem.cols = kCols;
    problem.scales = std::span(&global_scale, 1);
    problem.four_over_six = four_over_six_of(spec);
    const auto expected = reference::quantize(problem, reference_threads());
    std::uint64_t different = 0;
    for (std::size_t i = 0; i < expected.codes.size(); ++i) {
      different += expected.codes[i] != found.codes[i] ? 1U : 0U;
    }
    for (std::size_t i = 0; i < expected.scales.size(); ++i) {
      different += expected.scales[i] != found.scales[i] ? 1U : 0U;
    }
    return different;
  }

 private:
  std::uint16_t* x() { return reinterpret_cast<std::uint16_t*>(buffers_.x.data()); }
  void compare(const DeviceBuffer& a, const DeviceBuffer& b) {
    CountDifferencesArgs args;
    args.a = a.data();
    args.b = b.data();
    args.count = reinterpret_cast<std::uint64_t*>(buffers_.count.data());
    args.bytes = static_cast<std::int64_t>(a.size());
    slow_.launch(args, stream_.get());
  }

  Stream stream_;
  SlowKernels slow_;
  Buffers buffers_;
};

// Round ones, for which equal errors are exact, and after them any mantissa with exponents around
// those of ordinary tensors; each fourth is the usual scale of data with a maximum of 1 to 8.
float global_scale_of(std::int64_t round, std::mt19937_64& random) {
  constexpr float kRound[] = {448.0F, 256.0F, 1.0F, 96.0F, 2688.0F, 1536.0F, 137.84615F, 78.76923F};
  const auto mantissa =
      std::bit_cast<float>(0x3F800000U | static_cast<std::uint32_t>(random() >> 41));
  if (round < std::ssize(kRound)) {
    return kRound[round];
  }
  return round % 4 == 0 ? 448.0F * 6.0F / (mantissa * 4.0F)
                        : std::ldexp(mantissa, static_cast<int>(random() % 20) - 6);
}

int mode_of(const KernelSpec& spec) {
  const auto config = four_over_six_of(spec);
  return !config ? 0 : config->metric == reference::ErrorMetric::mae ? 1 : 2;
}

void compare_configuration(const std::string& axes, std::uint64_t seed) {
  Gpu& gpu = Gpu::get();
  const Kernel kernel = gpu.prepare(axes);
  const int type = kernel.spec().get("in") == "f16" ? 1 : 0;
  const int mode = mode_of(kernel.spec());
  Comparison comparison(gpu);
  std::mt19937_64 random(seed);
  std::uint64_t from_reference = 0;
  for (std::int64_t round = 0; round < kRounds; ++round) {
    const float global_scale = global_scale_of(round, random);
    comparison.make_blocks(random(), type);
    comparison.quantize_slowly(global_scale, type, mode);
    comparison.quantize(kernel, global_scale);
    comparison.compare();
    if (round < kRoundsWithReference) {
      from_reference += comparison.differences_from_reference(kernel.spec(), global_scale);
    }
  }
  const std::uint64_t different = comparison.differing_bytes();
  WARN(kernel.spec().text() << ": " << kBlocks * kRounds << " random blocks (seed " << seed << "), "
                            << different << " differing bytes; of the second implementation, "
                            << kBlocks * kRoundsWithReference << " blocks against the reference: "
                            << from_reference << " differing bytes");
  CHECK(different == 0);
  CHECK(from_reference == 0);
}

}  // namespace

TEST_CASE("random blocks on the device: a planted difference is counted", "[.][random]") {
  Gpu& gpu = Gpu::get();
  const Kernel kernel = gpu.prepare("layout=linear");
  Comparison comparison(gpu);
  comparison.make_blocks(1, 0);
  comparison.quantize_slowly(448.0F, 0, 0);
  comparison.quantize(kernel, 448.0F);
  comparison.compare();
  CHECK(comparison.differing_bytes() == 0);
  comparison.spoil(12'345'677);
  comparison.spoil(1);
  comparison.compare();
  CHECK(comparison.differing_bytes() == 2);
  // With another global scale, or another mode, nearly all blocks differ.
  comparison.quantize_slowly(137.0F, 0, 0);
  comparison.compare();
  CHECK(comparison.differing_bytes() > 1'000'000);
}

TEST_CASE("random blocks on the device: 10^8 of each configuration, 0 differing bytes",
          "[.][random]") {
  std::uint64_t seed = 100;
  for (const char* type : {"bf16", "f16"}) {
    for (const char* config : {"off", "mae448", "mse256"}) {
      const std::string axes =
          std::string("in=") + type + ",layout=linear,scale=tensor,math=exact,4over6=" + config;
      DYNAMIC_SECTION(axes) { compare_configuration(axes, ++seed); }
    }
  }
}

}  // namespace fourge::tests
