#include "tests/support/near_choice.hpp"

#include <bit>
#include <cmath>
#include <random>

namespace fourge::tests {

std::vector<std::uint16_t> near_choice_input(reference::ElementType type, std::int64_t rows,
                                             std::int64_t cols, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto below = [&random](std::uint64_t bound) { return static_cast<int>(random() % bound); };
  std::vector<std::uint16_t> x(static_cast<std::size_t>(rows * cols));
  for (std::size_t first = 0; first < x.size(); first += 16) {
    const int kind = below(8);
    const int exponent = below(3) - 1;
    const int constant = 1 + below(24);
    const int peak = below(16);
    for (std::size_t i = 0; i < 16; ++i) {
      const bool is_peak = static_cast<int>(i) == peak;
      int quarters = 0;
      if (kind == 0) {
        quarters = constant;
      } else if (kind == 1) {
        quarters = is_peak ? 16 : 2 * below(9);
      } else {
        const int most = kind < 5 ? 24 : 16;
        quarters = is_peak ? most : below(static_cast<std::uint64_t>(most) + 1);
      }
      const float sign = below(2) == 0 ? 1.0F : -1.0F;
      x[first + i] = reference::from_float(
          type, sign * std::ldexp(static_cast<float>(quarters), exponent - 2));
    }
  }
  return x;
}

std::vector<float> near_choice_scales(std::int64_t rows) {
  constexpr std::uint32_t kBits[] = {0x4380'0000U,  // 256
                                     0x42C0'0000U,  // 96: for a maximum of 4, thirds appear
                                     0x4380'0001U,  // a hair above and below those
                                     0x42C0'0001U, 0x437F'FFFFU, 0x42BF'FFFFU, 0x43C0'0001U,
                                     0x4309'D89EU,   // 448 * 6 / 19.5
                                     0x429D'89D9U};  // 256 * 6 / 19.5
  std::vector<float> scales;
  for (std::int64_t row = 0; row < rows; ++row) {
    scales.push_back(std::bit_cast<float>(kBits[static_cast<std::size_t>(row) % std::size(kBits)]));
  }
  return scales;
}

}  // namespace fourge::tests
