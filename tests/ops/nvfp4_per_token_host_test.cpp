// nvfp4_quantize_per_token by host execution: zero rows, and that the ways to hold a row give the same
// bits.
#include <fourge/nvfp4_quantize.hpp>
#include <fourge/nvfp4_quantize_per_token.hpp>
#include <fourge/runtime.hpp>

#include "reference/nvfp4_per_token.hpp"
#include "tests/support/aligned_buffer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/patterns.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace fourge::tests {
namespace {

using reference::ElementType;
using reference::PerTokenOutput;

constexpr const char* kTargets[] = {"sm_80", "sm_90a", "sm_100a"};
constexpr float kInverse448 = 1.0F / 2688.0F;

Runtime& runtime() {
  static Runtime instance;
  return instance;
}

PerTokenOutput run(const HostKernel& kernel, std::span<const std::uint16_t> x, std::int64_t rows,
                   std::int64_t cols, float inverse) {
  const AlignedBuffer input(x.data(), x.size_bytes());
  AlignedBuffer codes(x.size() / 2, 0xA5);
  AlignedBuffer scales(nvfp4_scale_bytes(kernel.spec().get("layout"), rows, cols), 0xA5);
  AlignedBuffer token_scales(static_cast<std::size_t>(rows) * sizeof(float), 0xA5);
  Nvfp4QuantizePerTokenArgs args;
  args.x = input.data();
  args.codes = codes.data();
  args.scales = scales.data();
  args.token_scales = reinterpret_cast<float*>(token_scales.data());
  args.global_scale_inverse = inverse;
  args.rows = rows;
  args.cols = cols;
  kernel.launch(args);
  PerTokenOutput output{{codes.bytes(), scales.bytes()},
                        std::vector<float>(static_cast<std::size_t>(rows))};
  std::memcpy(output.token_scales.data(), token_scales.data(),
              output.token_scales.size() * sizeof(float));
  return output;
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) {
    bits.push_back(std::bit_cast<std::uint32_t>(value));
  }
  return bits;
}

bool same_bits(const PerTokenOutput& a, const PerTokenOutput& b) {
  return a.blocks.codes == b.blocks.codes && a.blocks.scales == b.blocks.scales &&
         bits_of(a.token_scales) == bits_of(b.token_scales);
}

}  // namespace

TEST_CASE("a row of zeros or of subnormals has scales of zero in every mode", "[per-token]") {
  // +0, -0, bf16 subnormals, NaN, and one ordinary row.
  constexpr std::int64_t kCols = 64;
  std::vector<std::uint16_t> x(5 * kCols, 0);
  std::fill_n(x.begin() + kCols, kCols, std::uint16_t{0x8000});
  std::fill_n(x.begin() + 2 * kCols, kCols, std::uint16_t{0x807F});
  std::fill_n(x.begin() + 3 * kCols, kCols, std::uint16_t{0x7FC0});
  std::fill_n(x.begin() + 4 * kCols, kCols, std::uint16_t{0x3F80});
  for (const char* math : {"exact", "fast"}) {
    for (const char* config : {"off", "mae448", "mse256fast"}) {
      for (const char* target : kTargets) {
        const auto kernel =
            runtime().prepare_host(KernelSpec::parse(std::string("nvfp4_quantize_per_token[math=") +
                                                     math + ",4over6=" + config + "]@" + target));
        INFO(kernel.spec().text());
        const bool off = std::string(config) == "off";
        const auto found = run(kernel, x, 5, kCols, kInverse448);
        const std::uint8_t expected[] = {0x00, 0x88, 0x88, 0x77};
        for (std::size_t row = 0; row < 4; ++row) {
          CHECK(std::bit_cast<std::uint32_t>(found.token_scales[row]) == 0);
          const auto codes = found.blocks.codes.begin() + static_cast<std::ptrdiff_t>(row * 32);
          CHECK(std::count(codes, codes + 32, off ? expected[row] : 0) == 32);
          CHECK(found.blocks.scales[row * 4] == 0);
        }
        CHECK(found.token_scales[4] == kInverse448);
        CHECK(found.blocks.scales[16] == 0x7E);
      }
    }
  }
}

TEST_CASE("fast: a row so small that its scale is flushed to zero has no scale that is NaN",
          "[per-token]") {
  constexpr std::int64_t kCols = 64;
  constexpr std::uint8_t kNan = 0x7F;
  // 2^-125 and 1e-36, whose token scales are below 2^-126; the other blocks are zeros.
  std::vector<std::uint16_t> x(2 * kCols, 0);
  x[0] = 0x0100;
  x[kCols] = 0x03AA;
  for (const char* config : {"off", "mae448", "mse256fast"}) {
    for (const char* target : kTargets) {
      const auto kernel = runtime().prepare_host(KernelSpec::parse(
          std::string("nvfp4_quantize_per_token[math=fast,4over6=") + config + "]@" + target));
      INFO(kernel.spec().text());
      const auto found = run(kernel, x, 2, kCols, kInverse448);
      const auto& scales = found.blocks.scales;
      CHECK(bits_of(found.token_scales) == std::vector<std::uint32_t>{0, 0});
      CHECK(std::count(scales.begin(), scales.end(), kNan) == 0);
      CHECK(std::count(scales.begin() + 1, scales.begin() + 4, 0) == 3);
      // The largest element's code is 7 at most, and no other has one.
      CHECK((found.blocks.codes[0] & 0xF8) == 0);
      CHECK(std::count(found.blocks.codes.begin() + 1, found.blocks.codes.begin() + 32, 0) == 31);
    }
  }
}

TEST_CASE("however a row is held, the bits are the same", "[per-token]") {
  for (const char* rest : {"layout=linear", "layout=128x4,4over6=mae448", "layout=8x4,math=fast"}) {
    std::vector<HostKernel> kernels;
    for (const char* row :
         {"registers", "registers2", "registers1", "cluster", "looped", "copied"}) {
      kernels.push_back(runtime().prepare_host(KernelSpec::parse(
          std::string("nvfp4_quantize_per_token[row=") + row + "," + rest + "]@sm_90a")));
    }
    for (const std::int64_t cols : {16, 48, 512, 528, 2048, 2064, 4112, 8192}) {
      const auto x =
          make_input(Pattern::random, ElementType::bf16, 3, cols, static_cast<std::uint64_t>(cols));
      const auto first = run(kernels[0], x, 3, cols, kInverse448);
      INFO(rest << " " << cols);
      for (std::size_t i = 1; i < kernels.size(); ++i) {
        CHECK(same_bits(first, run(kernels[i], x, 3, cols, kInverse448)));
      }
    }
  }
}

TEST_CASE("a row of several CTAs of a cluster has the bits of one that is read twice",
          "[per-token]") {
  // Two CTAs to eight, at 16400 the last with one block. Each row has its largest element in another place.
  for (const char* rest : {"layout=linear", "layout=128x4,4over6=mae448"}) {
    const auto kernel = [&](const char* row) {
      return runtime().prepare_host(KernelSpec::parse(std::string("nvfp4_quantize_per_token[row=") +
                                                      row + "," + rest + "]@sm_90a"));
    };
    const HostKernel cluster = kernel("cluster");
    const HostKernel looped = kernel("looped");
    for (const std::int64_t cols : {16400, 40016, 65536}) {
      INFO(rest << " " << cols);
      auto x =
          make_input(Pattern::random, ElementType::bf16, 3, cols, static_cast<std::uint64_t>(cols));
      const std::int64_t places[] = {0, cols / 2, cols - 1};
      for (std::int64_t row = 0; row < 3; ++row) {
        x[static_cast<std::size_t>(row * cols + places[row])] = 0xC6A0;  // -20480
      }
      CHECK(same_bits(run(cluster, x, 3, cols, kInverse448), run(looped, x, 3, cols, kInverse448)));
    }
  }
}

TEST_CASE("a row that is too long for its variant is refused at the launch", "[per-token]") {
  const auto kernel =
      runtime().prepare_host(KernelSpec::parse("nvfp4_quantize_per_token[row=registers1]@sm_90a"));
  Nvfp4QuantizePerTokenArgs args;
  args.rows = 1;
  args.cols = 16400;
  CHECK_THROWS_AS(kernel.launch(args), Error);
}

}  // namespace fourge::tests
