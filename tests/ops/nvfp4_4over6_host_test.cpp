// 4over6 in nvfp4_quantize: the golden blocks, blocks without a choice, and that hard cases are hard.
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/runtime.hpp>

#include "reference/nvfp4_quantize.hpp"
#include "tests/support/aligned_buffer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/near_choice.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace fourge::tests {
namespace {

using reference::ElementType;
using reference::Nvfp4Output;
using Values = std::array<float, 16>;

constexpr const char* kConfigs[] = {"mae448",     "mse448",     "mae256",     "mse256",
                                    "mae448fast", "mse448fast", "mae256fast", "mse256fast"};

Runtime& runtime() {
  static Runtime instance;
  return instance;
}

Nvfp4Output run(const HostKernel& kernel, std::span<const std::uint16_t> x, std::int64_t rows,
                std::int64_t cols, float global_scale) {
  const AlignedBuffer input(x.data(), x.size_bytes());
  AlignedBuffer codes(x.size() / 2, 0xA5);
  AlignedBuffer scales(nvfp4_scale_bytes(kernel.spec().get("layout"), rows, cols), 0xA5);
  Nvfp4QuantizeArgs args;
  args.x = input.data();
  args.codes = codes.data();
  args.scales = scales.data();
  args.global_scale_value = global_scale;
  args.rows = rows;
  args.cols = cols;
  kernel.launch(args);
  return {codes.bytes(), scales.bytes()};
}

// "7C 102133445565E688": the block scale and the codes in memory order.
std::string quantize(const std::string& config, const Values& values, std::uint32_t scale_bits,
                     const char* target = "sm_90a", const char* type = "bf16") {
  const auto element = std::string(type) == "bf16" ? ElementType::bf16 : ElementType::f16;
  std::vector<std::uint16_t> x;
  for (const float value : values) {
    x.push_back(reference::from_float(element, value));
  }
  const auto kernel = runtime().prepare_host(KernelSpec::parse(
      "nvfp4_quantize[in=" + std::string(type) + ",4over6=" + config + "]@" + target));
  const Nvfp4Output output = run(kernel, x, 1, 16, std::bit_cast<float>(scale_bits));
  std::string text;
  const auto append = [&text](std::uint8_t byte) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  };
  append(output.scales.at(0));
  text += ' ';
  for (const std::uint8_t byte : output.codes) {
    append(byte);
  }
  return text;
}

constexpr Values kA{0, .5F, 1, 1.5F, 2, 2.5F, 3, 3.5F, 4, 4.5F, 5, 5.5F, 6, -6, -.25F, -0.0F};
constexpr Values kB{1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16};
constexpr Values kC{3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4};

constexpr const char* kTargets[] = {"sm_80", "sm_90a", "sm_100a"};

}  // namespace

TEST_CASE("golden blocks: the maximum is the tensor's, both encodings saturate to the same",
          "[4over6]") {
  for (const char* target : kTargets) {
    for (const char* config : {"off", "mae448", "mse448", "mae448fast", "mse448fast"}) {
      INFO(config << " " << target);
      CHECK(quantize(config, kA, 0x43E0'0000U, target) == "7E 103244656676F788");
    }
    for (const char* config : {"off", "mae448", "mse448", "mae448fast", "mse448fast"}) {
      CHECK(quantize(config, kC, 0x4428'0000U, target) == "7E 6666666666666676");
    }
  }
}

TEST_CASE("golden blocks: 4 or 6", "[4over6]") {
  for (const char* target : kTargets) {
    INFO(target);
    CHECK(quantize("mae256", kA, 0x4380'0000U, target) == "78 103244656676F788");  // equal errors
    CHECK(quantize("mse256", kA, 0x4380'0000U, target) == "7C 102133445565E688");
    CHECK(quantize("off", kA, 0x4309'D89EU, target) == "71 103244556676F788");
    CHECK(quantize("mae448", kA, 0x4309'D89EU, target) == "75 102133445565E688");
    CHECK(quantize("mae256", kA, 0x429D'89D9U, target) == "6A 103244556676F788");
    CHECK(quantize("mse256", kA, 0x429D'89D9U, target) == "6F 102133445565E688");
    CHECK(quantize("mse256", kB, 0x42C0'0000U, target) == "78 A1B2C4D5E5E6F6F7");  // by rounding
    CHECK(quantize("mae448fast", kB, 0x424E'C4ECU, target) == "75 90A1B2C3C4D5D5E6");
    for (const char* config : {"mae256", "mse256", "mae256fast", "mse256fast"}) {
      CHECK(quantize(config, kC, 0x43C0'0000U, target) == "7C 5555555555555565");
    }
  }
}

TEST_CASE("golden blocks are the same in f16", "[4over6]") {
  CHECK(quantize("mae448", kA, 0x4309'D89EU, "sm_90a", "f16") == "75 102133445565E688");
  CHECK(quantize("mse256", kB, 0x42C0'0000U, "sm_90a", "f16") == "78 A1B2C4D5E5E6F6F7");
}

TEST_CASE("blocks without a choice", "[4over6]") {
  Values zeros{};
  zeros[1] = -0.0F;
  zeros[2] = std::numeric_limits<float>::quiet_NaN();
  Values infinite = kA;
  infinite[4] = -std::numeric_limits<float>::infinity();
  Values nan = kA;
  nan[3] = std::numeric_limits<float>::quiet_NaN();
  for (const char* target : kTargets) {
    for (const char* config : kConfigs) {
      INFO(config << " " << target);
      CHECK(quantize(config, zeros, 0x43E0'0000U, target) == "00 0000000000000000");
      CHECK(quantize(config, infinite, 0x4309'D89EU, target).substr(0, 3) == "7E ");
      // With the NaN, errors compare false: 6, whatever the configuration; the NaN is code 7.
      CHECK(quantize(config, nan, 0x4309'D89EU, target) == "71 107244556676F788");
    }
  }
}

TEST_CASE("the input made for near choices has many, of every kind", "[4over6]") {
  const auto x = near_choice_input(ElementType::bf16, 96, 512, 1);
  const auto scales = near_choice_scales(96);
  for (const auto metric : {reference::ErrorMetric::mae, reference::ErrorMetric::mse}) {
    for (const auto error : {reference::ErrorMath::strict, reference::ErrorMath::fast}) {
      int equal = 0;
      int close = 0;
      int four = 0;
      for (std::size_t block = 0; block < x.size() / 16; ++block) {
        const auto made = reference::quantize_4over6_block(
            std::span(x).subspan(block * 16).first<16>(), ElementType::bf16, scales[block / 32],
            reference::MathMode::exact, {metric, 256, error}, 0.0F);
        const bool same = made.chosen.scale == made.other.scale;
        const float gap = std::fabs(made.error_4 - made.error_6);
        equal += !same && gap == 0.0F ? 1 : 0;
        close += !same && gap != 0.0F && gap <= 1e-6F * made.error_6 ? 1 : 0;
        four += made.chose_4 ? 1 : 0;
      }
      INFO(equal << " equal, " << close << " close, " << four << " times 4");
      CHECK(equal >= 3);
      CHECK(close >= 3);
      CHECK(four >= 100);
    }
  }
}

}  // namespace fourge::tests
