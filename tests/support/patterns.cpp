#include "tests/support/patterns.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <string>

#include "reference/ftz.hpp"
#include "reference/nvfp4.hpp"

namespace fourge::tests {
namespace {

using reference::ElementType;

constexpr std::int64_t kBlock = reference::kNvfp4Block;

// splitmix64: small, fast and the same everywhere, unlike the standard distributions.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E37'79B9'7F4A'7C15U + 0x1234'5678U) {}

  std::uint64_t bits() {
    state_ += 0x9E37'79B9'7F4A'7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58'476D'1CE4'E5B9U;
    z = (z ^ (z >> 27)) * 0x94D0'49BB'1331'11EBU;
    return z ^ (z >> 31);
  }
  // Evenly from [0, count).
  unsigned below(unsigned count) { return static_cast<unsigned>((bits() >> 32) * count >> 32); }
  int between(int low, int high) {
    return low + static_cast<int>(below(static_cast<unsigned>(high - low + 1)));
  }
  std::uint16_t sign() { return (bits() & 1U) != 0 ? 0x8000U : 0U; }
  // Standard normal, two for each step of the Box-Muller transform.
  float normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const std::uint64_t word = bits();
    const float u = (static_cast<float>(word >> 40) + 1.0F) * 0x1p-24F;  // (0, 1]
    const float angle = static_cast<float>(word & 0xFF'FFFFU) * (0x1p-24F * 6.2831853F);
    const float radius = std::sqrt(-2.0F * std::log(u));
    spare_ = radius * std::sin(angle);
    has_spare_ = true;
    return radius * std::cos(angle);
  }

 private:
  std::uint64_t state_;
  float spare_ = 0.0F;
  bool has_spare_ = false;
};

struct TypeBits {
  std::uint16_t infinity;
  unsigned mantissa_bits;
  int min_exponent;  // of the smallest normal
  int max_exponent;
  std::uint16_t mantissa_mask() const {
    return static_cast<std::uint16_t>((1U << mantissa_bits) - 1U);
  }
};

TypeBits bits_of(ElementType type) {
  return type == ElementType::bf16 ? TypeBits{0x7F80, 7, -126, 127} : TypeBits{0x7C00, 10, -14, 15};
}

using Block = std::span<std::uint16_t>;

void fill_random(std::span<std::uint16_t> x, ElementType type, std::int64_t rows, std::int64_t cols,
                 Random& random) {
  const auto skipped = static_cast<std::size_t>(rows > 1 ? cols : 0);
  for (std::uint16_t& element : x.subspan(std::min(skipped, x.size()))) {
    element = reference::from_float(type, random.normal());
  }
}

void fill_boundary(std::span<std::uint16_t> x, ElementType type, std::int64_t cols) {
  const std::int64_t pairs = cols / 2;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::int64_t col = static_cast<std::int64_t>(i) % cols;
    const double base =
        -12.0 + 24.0 * static_cast<double>(col / 2) / static_cast<double>(pairs - 1);
    const double value = col % 2 == 0 ? base - 1e-3 : base + 1e-3;
    x[i] = reference::from_float(type, static_cast<float>(value));
  }
}

std::uint16_t random_nan(ElementType type, Random& random) {
  const TypeBits bits = bits_of(type);
  const std::array<std::uint16_t, 4> payloads = {
      1, bits.mantissa_mask(), static_cast<std::uint16_t>(1U << (bits.mantissa_bits - 1)),
      static_cast<std::uint16_t>(1U + random.below(bits.mantissa_mask()))};
  return static_cast<std::uint16_t>(random.sign() | bits.infinity | payloads[random.below(4)]);
}

std::uint16_t random_special(ElementType type, Random& random) {
  switch (random.below(4)) {
    case 0:
      return random_nan(type, random);
    case 1:
      return static_cast<std::uint16_t>(random.sign() | bits_of(type).infinity);
    case 2:
      return random.sign();  // a zero
    default:
      return reference::from_float(type, random.normal());
  }
}

// The kinds of block of Pattern::specials; the first one holds a bit of everything.
void fill_special_block(Block block, ElementType type, unsigned kind, Random& random) {
  const std::uint16_t infinity = bits_of(type).infinity;
  const auto normal = [&] { return reference::from_float(type, random.normal()); };
  for (std::size_t i = 0; i < block.size(); ++i) {
    switch (kind) {
      case 1:
        block[i] = random_nan(type, random);
        break;
      case 2:
        block[i] = infinity;
        break;
      case 3:
        block[i] = 0x8000U;
        break;
      case 4:  // NaN among numbers, no infinity: the numbers decide the scale
        block[i] = random.below(4) == 0 ? random_nan(type, random) : normal();
        break;
      case 5:  // NaN in all odd places
        block[i] = i % 2 == 1 ? random_nan(type, random) : normal();
        break;
      case 6:  // NaN and zeros only
        block[i] = random.below(2) == 0 ? random_nan(type, random) : random.sign();
        break;
      case 7:  // one -Inf
        block[i] =
            i == block.size() - 1 ? static_cast<std::uint16_t>(infinity | 0x8000U) : normal();
        break;
      default:
        block[i] = random_special(type, random);
    }
  }
  if (kind == 0) {
    block[0] = random_nan(type, random);
    block[3] = infinity;
    block[6] = static_cast<std::uint16_t>(infinity | 0x8000U);
    block[9] = 0x8000U;
    block[12] = normal();
  }
}
constexpr unsigned kSpecialKinds = 9;

// The kinds of block of Pattern::subnormals; the first one holds a bit of everything.
void fill_subnormal_block(Block block, ElementType type, unsigned kind, Random& random) {
  const TypeBits bits = bits_of(type);
  const auto subnormal = [&] {
    return static_cast<std::uint16_t>(random.sign() | (1U + random.below(bits.mantissa_mask())));
  };
  const auto scaled = [&](int exponent) {
    return reference::from_float(type, std::ldexp(random.normal(), exponent));
  };
  const int tiny_top = bits.min_exponent + (type == ElementType::bf16 ? 26 : 8);
  const int block_exponent = random.between(bits.min_exponent, bits.max_exponent - 3);
  for (std::size_t i = 0; i < block.size(); ++i) {
    switch (kind) {
      case 1:
        block[i] = subnormal();
        break;
      case 2:  // the smallest magnitudes that binary32 (bf16) or the type (f16) holds as normal
               // numbers
        block[i] = scaled(random.between(bits.min_exponent, tiny_top));
        break;
      case 3:  // tiny; kind 4, its neighbour, is big: with one scale for both, this one's
               // underflows
        block[i] = scaled(bits.min_exponent + 2);
        break;
      case 4:
        block[i] = scaled(bits.max_exponent - 3);
        break;
      case 5:
      case 6:
      case 7:
        block[i] = scaled(block_exponent);
        break;
      default:
        block[i] = i % 3 == 0 ? subnormal() : scaled(random.between(bits.min_exponent - 4, 0));
    }
  }
}
constexpr unsigned kSubnormalKinds = 8;

}  // namespace

std::span<const Pattern> all_patterns() noexcept {
  static constexpr std::array<Pattern, 6> kAll = {Pattern::random,   Pattern::boundary,
                                                  Pattern::zeros,    Pattern::maxes,
                                                  Pattern::specials, Pattern::subnormals};
  return kAll;
}

const char* to_string(Pattern pattern) noexcept {
  switch (pattern) {
    case Pattern::random:
      return "random";
    case Pattern::boundary:
      return "boundary";
    case Pattern::zeros:
      return "zeros";
    case Pattern::maxes:
      return "maxes";
    case Pattern::specials:
      return "specials";
    case Pattern::subnormals:
      return "subnormals";
  }
  return "?";
}

std::vector<std::uint16_t> make_input(Pattern pattern, ElementType type, std::int64_t rows,
                                      std::int64_t cols, std::uint64_t seed) {
  if (rows < 0 || cols <= 0 || cols % kBlock != 0) {
    throw std::invalid_argument(
        "make_input: rows >= 0 and a positive multiple of 16 columns; got " + std::to_string(rows) +
        " x " + std::to_string(cols));
  }
  std::vector<std::uint16_t> x(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols));
  Random random(seed);
  const auto for_each_block = [&](auto fill, unsigned kinds) {
    const auto length = static_cast<std::size_t>(kBlock);
    for (std::size_t block = 0; block < x.size() / length; ++block) {
      fill(Block(x).subspan(block * length, length), type, static_cast<unsigned>(block % kinds),
           random);
    }
  };
  switch (pattern) {
    case Pattern::random:
      fill_random(x, type, rows, cols, random);
      break;
    case Pattern::boundary:
      fill_boundary(x, type, cols);
      break;
    case Pattern::zeros:
      break;
    case Pattern::maxes:
      std::fill(x.begin(), x.end(), static_cast<std::uint16_t>(bits_of(type).infinity - 1U));
      break;
    case Pattern::specials:
      for_each_block(fill_special_block, kSpecialKinds);
      break;
    case Pattern::subnormals:
      for_each_block(fill_subnormal_block, kSubnormalKinds);
      break;
  }
  return x;
}

float te_global_scale(std::span<const std::uint16_t> x, ElementType type) {
  namespace ftz = reference::ftz;
  const float maximum = reference::magnitude_maximum(x, type);
  const float scale = ftz::min(ftz::div(ftz::mul(448.0F, 6.0F), maximum), ftz::kMax);
  return scale == 0.0F ? 1.0F : scale;
}

}  // namespace fourge::tests
